"""Rows of the case `stages`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

from bench.report.units import duration, size


@dataclass(frozen=True)
class StageRow:
    """One stage, in a process of its own.

    Attributes:
        network: The network.
        images: The number of images.
        requests: The number of requests that hold them.
        stage: The stage.
        cpu_seconds: The processor time of all threads, the start of the process included: the median.
        seconds: The time that passed: the median.
        limit: The processor time that it should take at most; None where no limit is set.
        written_bytes: What it has written.
        unit_ms: The processor time of one SEAL rotation, before all stages.
        runs: The number of processes.
        wrong: Images whose logits are further from the network's than the circuit allows, in the last stage's row.
    """

    network: str
    images: int
    requests: int
    stage: str
    cpu_seconds: float
    seconds: float
    limit: float | None
    written_bytes: int
    unit_ms: float
    runs: int
    wrong: int | None = None


def show(console: Console, rows: Sequence[StageRow]) -> None:
    """Print one table for each number of images, within 80 columns."""
    for (network, images), group in groupby(rows, key=lambda row: (row.network, row.images)):
        members = list(group)
        title = f"{network}, images: {images:,}, requests: {members[-1].requests:,}"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", min_width=40, no_wrap=True)
        for heading in ("CPU", "limit", "wall", "written"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in members:
            over = row.limit is not None and row.cpu_seconds > row.limit
            times = duration(row.cpu_seconds), duration(row.limit), duration(row.seconds)
            style = "red" if over else None
            table.add_row(row.stage, *times, size(row.written_bytes), style=style)
        console.print(table)
        last = members[-1]
        told = f"wrong answers: {last.wrong}; a rotation by SEAL: {last.unit_ms:.3g} ms of CPU"
        console.print(told, highlight=False, style="dim")
