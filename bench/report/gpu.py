"""Rows of the case `gpu`, and how they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True)
class GpuRow:
    """One measurement on a GPU, beside a peer where there is one.

    Attributes:
        work: What was timed.
        ours_us: The median microseconds of one call.
        gops: How many 10**9 multiplications and additions a second that makes; None where they are not what counts.
        peer: What it is compared with.
        peer_us: The median microseconds of the peer.
        ratio: `peer_us / ours_us`: how many times as fast ours is.
        checks: The number of comparisons with the reference that were made before.
        checks_equal: How many of them were equal in every bit; all of them, or nothing would have been timed.
        floor_us: The least microseconds that the GPU's data sheet allows for the bytes and operations; None where it is
            not known here. Of what is not all on the GPU, it is that of the kernels.
        count: How many images, samples or ciphertexts one call is of.
        parts_us: The microseconds of parts of the call by what they are, one after the other; what is missing to the
            whole is between them.
    """

    work: str
    ours_us: float
    gops: float | None = None
    peer: str | None = None
    peer_us: float | None = None
    ratio: float | None = None
    checks: int = 0
    checks_equal: int = 0
    floor_us: float | None = None
    count: int = 1
    parts_us: Mapping[str, float] | None = None


def summary(row: GpuRow) -> str:
    """One line for those who wait: the time, the speed, the floor, the peer's time, and that of parts."""
    each = "" if row.count == 1 else f", {row.ours_us / row.count:,.2f} µs each of {row.count:,}"
    speed = "" if row.gops is None else f", {row.gops:,.0f} GOPS"
    beside = "" if row.peer_us is None else f"; {row.peer}: {row.peer_us:,.1f} µs, ratio {row.ratio:.2f}"
    floor = "" if row.floor_us is None else f"; floor {row.floor_us:,.1f} µs"
    parts = ", ".join(f"{what} {us:,.1f}" for what, us in (row.parts_us or {}).items())
    return f"{row.work}: {row.ours_us:,.1f} µs{each}{speed}{floor}{beside}{f'; {parts}' if parts else ''}"


def show(console: Console, rows: Sequence[GpuRow]) -> None:
    """Print what all measurements, which have been printed one by one, have in common."""
    if rows:
        equal = f"equal in {rows[0].checks_equal} of {rows[0].checks} checks"
        console.print(f"[bold]CUDA kernels[/bold], {equal}: {len(rows)} measurements", highlight=False)
