"""Rows of the case `secrecy`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class SecrecyRow:
    """One attack at one radius.

    Attributes:
        network: The name of the shipped integer network.
        sees: What the attacker sees of the network.
        attack: What the attacker does with that.
        radius: The radius of the Linf ball, in units of the images' range.
        n_images: The number of images attacked.
        broken: The number of images misclassified in the end, those that were to begin with included.
        interval: The 95 % interval (Wilson) of the share of broken images.
        median_queries: The median number of queries of the network, of the images that were broken; None where there
            were no queries.
        requests: The number of encrypted requests sent, those to check and to judge included; 0 where nothing was
            encrypted.
        seconds: The time of the attack.
        seed: The seed of the attack, and of the attacker's own network.
    """

    network: str
    sees: str
    attack: str
    radius: float
    n_images: int
    broken: int
    interval: tuple[float, float]
    median_queries: float | None
    requests: int
    seconds: float
    seed: int


def show(console: Console, rows: Sequence[SecrecyRow]) -> None:
    """Print one line for each radius and attack, within 80 columns."""
    table = Table(
        title=f"What hiding a network stops: {rows[0].network}, {rows[0].n_images} images, Linf",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("the attacker sees", no_wrap=True)
    table.add_column("and does", no_wrap=True)
    for heading in ("radius", "broken", "queries", "requests", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.sees,
            row.attack,
            f"{row.radius:g}",
            f"{100 * row.broken / row.n_images:.0f} %",
            "-" if row.median_queries is None else f"{row.median_queries:.0f}",
            str(row.requests) if row.requests else "-",
            f"{row.seconds:.1f}",
        )
    console.print(table)
