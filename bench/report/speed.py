"""What the rows of integer kernels beside a peer's have in common, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class SpeedRow:
    """Ours beside one peer, on one network, batch size and number of threads.

    Attributes:
        work: The network in short.
        batch: The number of inputs of a call.
        threads: The number of threads.
        ours_us: Microseconds that ours takes: the mean of a turn of calls, and the least of all turns.
        peer: The library and its arithmetic.
        peer_us: The same for the peer; None if it is not available.
        ratio: ``peer_us / ours_us``: how many times as fast ours is.
        gops: How many 10**9 multiplications and additions a second ours does, counted by the network's definition.
        fraction_of_peak: ``gops`` in units of the measured dot-product peak of the cores that ours may use.
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

    @property
    def speed(self) -> str:
        """The operations a second of ours, and their part of the peak, in words."""
        return f"{self.gops:.0f} GOPS, {self.fraction_of_peak:.2f} of peak"


RowType = TypeVar("RowType", bound=SpeedRow)


def show_title(console: Console, what: str, rows: Sequence[SpeedRow]) -> None:
    """Print what was timed, on which instructions, and what a core could do at most."""
    if rows:
        peak = max(row.peak_gops for row in rows)
        console.print(f"[bold]{what}[/bold], {rows[0].instruction_set}, peak of a core {peak:.0f} GOPS")


def by_setting(rows: Sequence[RowType]) -> Iterator[tuple[tuple[str, int, int], list[RowType]]]:
    """Group rows that follow one another by their network, batch and number of threads."""
    for setting, group in groupby(rows, key=lambda row: (row.work, row.batch, row.threads)):
        yield setting, list(group)


def table(width: int, unit: str) -> Table:
    """An empty table of contenders, their times in a unit, and remarks."""
    empty = Table(box=None, padding=(0, 1), pad_edge=False)
    empty.add_column("", width=width, no_wrap=True)
    for heading in (unit, "times ours"):
        empty.add_column(heading, justify="right", no_wrap=True)
    empty.add_column("", no_wrap=True)
    return empty


def add_peers(filled: Table, rows: Iterable[SpeedRow], form: str) -> None:
    """Add a line for each peer; ``form`` is how a time is written."""
    for row in rows:
        times = ("-", "-") if row.peer_us is None else (f"{row.peer_us:{form}}", f"{row.ratio:.2f}")
        filled.add_row(row.peer, *times, row.note)
