"""Rows of the case `kernels`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

BOUND = ", bound"  # how the name of a peer ends whose inputs and outputs lie in buffers that stay


@dataclass(frozen=True)
class KernelRow:
    """Ours beside one peer, on one network, batch size and number of threads.

    Times are for one input of the batch. Each is the mean of a turn of calls, and the least of all turns counts.

    Attributes:
        work: The network in short.
        batch: The number of inputs of a call.
        threads: The number of threads that both may use; for small batches they may use fewer.
        ours_us: Microseconds for an input, from a uint8 array to an array of logits; beside a peer whose name ends in
            "bound", from and to arrays that were named before (`CompiledNetwork.bind`).
        peer: The library and its arithmetic; it ends in "bound" if inputs and outputs lie in buffers that stay.
        peer_us: The same for the peer; None if it is not available.
        ratio: ``peer_us / ours_us``: how many times as fast ours is.
        gops: How many 10**9 multiplications and additions a second ours does, counted by the network's definition.
        fraction_of_peak: ``gops`` in units of ``threads`` times the core's measured dot-product peak. Above 1 where
            pooling is folded into the weights of a convolution, which then takes fewer products than defined.
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


def show(console: Console, rows: Sequence[KernelRow]) -> None:
    """Print a short table for each network, batch and number of threads, within 80 columns."""
    if rows:
        peak = max(row.peak_gops for row in rows)
        console.print(f"[bold]Integer inference[/bold], {rows[0].instruction_set}, peak of a core {peak:.0f} GOPS")
    for (work, batch, threads), group in groupby(rows, key=lambda row: (row.work, row.batch, row.threads)):
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads {threads}", highlight=False)
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        table.add_column("", width=33, no_wrap=True)
        for heading in ("µs each", "times ours"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for bound, contenders in groupby(group, key=lambda row: row.peer.endswith(BOUND)):
            beside = list(contenders)
            ours = beside[0]
            speed = f"{ours.gops:.0f} GOPS, {ours.fraction_of_peak:.2f} of peak"
            table.add_row("ours, bound" if bound else "ours", f"{ours.ours_us:.3g}", "1", speed, style="bold")
            for row in beside:
                times = ("-", "-") if row.peer_us is None else (f"{row.peer_us:.3g}", f"{row.ratio:.2f}")
                table.add_row(row.peer, *times, row.note)
        console.print(table)
