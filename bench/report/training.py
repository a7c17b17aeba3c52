"""Rows of the case `training`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class TrainingRow:
    """Our step beside a peer's, on one network and batch size.

    Attributes:
        work: The network in short.
        batch: The number of examples of a step.
        threads: The number of threads of the peer; ours has one.
        ours_us: Microseconds for one step: forward, loss, backward, momentum and update. It is the mean of a
            turn of steps, and the least of all turns.
        peer: The library, its arithmetic and its optimiser.
        peer_us: The same for the peer; None if it is not available.
        ratio: ``peer_us / ours_us``: how many times as fast ours is.
        gops: How many 10**9 multiplications and additions a second ours does, counted by the network's definition:
            forward, gradients of the weights, and errors of all but the first layer's inputs.
        fraction_of_peak: ``gops`` in units of the core's measured dot-product peak.
        peak_gops: The measured dot-product peak of one core.
        instruction_set: The instructions that ours runs on.
        note: Why the peer has no time; empty where it has one.
    """

    work: str
    batch: int
    threads: int
    ours_us: float
    peer: str
    peer_us: float | None
    ratio: float | None
    gops: float
    fraction_of_peak: float
    peak_gops: float
    instruction_set: str
    note: str = ""


def show(console: Console, rows: Sequence[TrainingRow]) -> None:
    """Print a short table for each network, batch and number of threads, within 80 columns."""
    if rows:
        peak = max(row.peak_gops for row in rows)
        console.print(f"[bold]Integer training[/bold], {rows[0].instruction_set}, peak of a core {peak:.0f} GOPS")
    for (work, batch, threads), group in groupby(rows, key=lambda row: (row.work, row.batch, row.threads)):
        contenders = list(group)
        ours = contenders[0]
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads of the others {threads}", highlight=False)
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        table.add_column("", width=28, no_wrap=True)
        for heading in ("µs a step", "times ours"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        speed = f"{ours.gops:.0f} GOPS, {ours.fraction_of_peak:.2f} of peak"
        table.add_row("ours, momentum", f"{ours.ours_us:,.0f}", "1", speed, style="bold")
        for row in contenders:
            times = ("-", "-") if row.peer_us is None else (f"{row.peer_us:,.0f}", f"{row.ratio:.2f}")
            table.add_row(row.peer, *times, row.note)
        console.print(table)
