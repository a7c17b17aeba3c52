"""Rows of the case `kernels`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console

from bench.report.speed import SpeedRow, add_peers, by_setting, show_title, table

BOUND = ", bound"  # how the name of a peer ends whose inputs and outputs lie in buffers that stay


@dataclass(frozen=True)
class KernelRow(SpeedRow):
    """Our inference beside a peer's; both may use ``threads``, and for small batches they may use fewer.

    Times are for one input of the batch, from a uint8 array to an array of logits; beside a peer whose name ends in
    "bound", from and to buffers that were named before and stay (`CompiledNetwork.bind`). ``fraction_of_peak`` is
    above 1 where pooling is folded into the weights of a convolution, which then takes fewer products than defined.
    """


def show(console: Console, rows: Sequence[KernelRow]) -> None:
    """Print a short table for each network, batch and number of threads, within 80 columns."""
    show_title(console, "Integer inference", rows)
    for (work, batch, threads), group in by_setting(rows):
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads {threads}", highlight=False)
        times = table(33, "µs each")
        for bound, contenders in groupby(group, key=lambda row: row.peer.endswith(BOUND)):
            beside = list(contenders)
            ours = beside[0]
            times.add_row("ours, bound" if bound else "ours", f"{ours.ours_us:.3g}", "1", ours.speed, style="bold")
            add_peers(times, beside, ".3g")
        console.print(times)
