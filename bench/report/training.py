"""Rows of the case `training`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from bench.report.speed import SpeedRow, add_peers, by_setting, show_title, table


@dataclass(frozen=True)
class TrainingRow(SpeedRow):
    """Our training step beside a peer's; ``threads`` are the peer's, and ours has one.

    Times are for one step: forward, loss, backward, momentum and update. ``gops`` counts forward, gradients of the
    weights, and errors of all but the first layer's inputs; the name of a peer ends in its optimiser.
    """


def show(console: Console, rows: Sequence[TrainingRow]) -> None:
    """Print a short table for each network, batch and number of threads, within 80 columns."""
    show_title(console, "Integer training", rows)
    for (work, batch, threads), group in by_setting(rows):
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads of the others {threads}", highlight=False)
        times = table(28, "µs a step")
        times.add_row("ours, momentum", f"{group[0].ours_us:,.0f}", "1", group[0].speed, style="bold")
        add_peers(times, group, ",.0f")
        console.print(times)
