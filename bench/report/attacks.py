"""Rows of the case `attacks`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.report.units import duration


@dataclass(frozen=True)
class AttackRow:
    """Our attack beside a peer's.

    Attributes:
        attack: The name of the attack.
        network: The name of the network that is attacked.
        norm: The norm of the ball, or of the perturbation that is made small.
        radius: The radius of the ball; None where the nearest image is looked for.
        ours_s: CPU seconds of the process for one call of ours on all images, the least of the turns.
        ours_wall_s: Seconds of the same call by the clock.
        peer: The peer's library and version.
        peer_s: As `ours_s`, for the peer; None if it is not installed.
        peer_wall_s: As `ours_wall_s`, for the peer.
        ratio: `peer_s / ours_s`: how many times as fast ours is.
        ours_robust_accuracy: The share of all images that are still classified rightly after our attack; None where
            there is no ball.
        peer_robust_accuracy: The same after the peer's.
        ours_median: The median length of our perturbations of the images classified rightly to begin with, those not
            fooled being infinitely far; None if it is infinite, or where there is a ball.
        peer_median: The same for the peer's.
        ours_success: The share that we fool of the images classified rightly to begin with; None if there are none.
        peer_success: The same for the peer's.
        n_images: The number of images attacked, among them those that are misclassified to begin with.
        queries: The mean number of forwards of ours for an image, those of checks and verdicts included.
        peer_queries: The same for the peer's.
        clean_accuracy: The share of images classified rightly before the attack.
        seed: The seed of the network and of random starts.
        note: What should be known of the comparison, or why there is no peer.
    """

    attack: str
    network: str
    norm: str
    radius: float | None
    ours_s: float
    ours_wall_s: float
    peer: str
    peer_s: float | None
    peer_wall_s: float | None
    ratio: float | None
    ours_robust_accuracy: float | None
    peer_robust_accuracy: float | None
    ours_median: float | None
    peer_median: float | None
    ours_success: float | None
    peer_success: float | None
    n_images: int
    queries: float
    peer_queries: float | None
    clean_accuracy: float
    seed: int
    note: str = ""


def summary(row: AttackRow) -> str:
    """One line for those who wait: the times of both."""
    beside = "" if row.peer_wall_s is None else f", {row.peer} {duration(row.peer_wall_s)}"
    return f"{row.attack}: ours {duration(row.ours_wall_s)}{beside}"


def show(console: Console, rows: Sequence[AttackRow]) -> None:
    """Print one table, within 80 columns."""
    if not rows:
        return
    first = rows[0]
    console.print(
        f"[bold]Attacks on {first.network}[/bold], {first.n_images} images, "
        f"{first.clean_accuracy:.1%} right; CPU time of one thread",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("ours", "peer", "ratio", "found", "peer", "success", "peer"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.attack}, {row.norm}" + ("" if row.radius is None else f" {row.radius:g}"),
            duration(row.ours_s),
            duration(row.peer_s),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
            _found(row.ours_robust_accuracy, row.ours_median),
            _found(row.peer_robust_accuracy, row.peer_median),
            _percent(row.ours_success),
            _percent(row.peer_success),
        )
    console.print(table)
    console.print(
        "found: robust accuracy within a radius, else the median length; success: of what was right. "
        f"Peers: {', '.join(dict.fromkeys(row.peer for row in rows))}.",
        highlight=False,
    )
    for row in rows:
        if row.note:
            console.print(f"{row.attack}: {row.note}", highlight=False)


def _found(robust_accuracy: float | None, median: float | None) -> str:
    return _percent(robust_accuracy) if median is None else f"{median:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
