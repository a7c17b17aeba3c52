"""Rows of the case `times`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

from bench.report.units import duration


@dataclass(frozen=True)
class TimesRow:
    """One thing that a fresh process waits for.

    Attributes:
        group: What kind of thing it is: "import", "load", "answer" or "compile".
        what: What was timed.
        seconds: The median over the processes.
        least: The time of the quickest process.
        most: The time of the slowest process.
        limit: The seconds that it should take at most; None where no limit is set.
        processes: The number of fresh processes.
        note: What should be known of the measurement.
    """

    group: str
    what: str
    seconds: float
    least: float
    most: float
    limit: float | None
    processes: int
    note: str = ""


def show(console: Console, rows: Sequence[TimesRow]) -> None:
    """Print one table for each group, within 80 columns."""
    for group, members in groupby(rows, key=lambda row: row.group):
        table = Table(title=group, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", min_width=44, no_wrap=True)
        for heading in ("median", "least", "most", "limit"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in members:
            times = duration(row.seconds), duration(row.least), duration(row.most), duration(row.limit)
            over = row.limit is not None and row.seconds > row.limit
            table.add_row(row.what, *times, style="red" if over else None)
        console.print(table)
    for note in dict.fromkeys(row.note for row in rows if row.note):
        console.print(note, highlight=False, markup=False, style="dim")
