"""Rows of the case `meeting`: how they are printed and drawn."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from intnn.storage.document import write_atomically
from plaintext_models.evaluation.judge import wilson


@dataclass(frozen=True)
class MeetingRow:
    """One defence: the integers of its network, attacked, proved and priced.

    Attributes:
        defence: The defence.
        dataset: The data set.
        points: The points of every table, which decide most about the price.
        radius: The radius of the Linf ball.
        images: How many test images were attacked.
        float_accuracy: The share of all test images that the float network has right, from 0 to 1.
        clean: How many of the attacked images the integers have right without an attack.
        robust: How many of them stay right in the worst case of the card.
        proved: For how many of them it is proved that no image of the ball has another answer; None where answers are
            random.
        test_images: How many test images there are.
        certified: For how many of those it is proved.
        certified_by_intervals: How many intervals alone prove.
        units: The cost of one encrypted evaluation, in SEAL's rotations; None where no parameters fit.
        encrypted_ms: Its time on one thread, milliseconds, by a rehearsal with random numbers.
        parameters: The encryption parameters, or why none fit.
        train_seconds: The time of the training, seconds of CPU.
        seed: The seed of everything random.
    """

    defence: str
    dataset: str
    points: int
    radius: float
    images: int
    float_accuracy: float
    clean: int
    robust: int
    proved: int | None
    test_images: int
    certified: int | None
    certified_by_intervals: int | None
    units: float | None
    encrypted_ms: float | None
    parameters: str
    train_seconds: float
    seed: int


def show(console: Console, rows: Sequence[MeetingRow]) -> None:
    """Print a line for every defence."""
    first = rows[0]
    table = Table(title=f"Integer twins on {first.dataset}, Linf {first.radius:g}, shares in %")
    table.add_column("defence")
    for name in ("points", "float", "integers", "attacked", "proved", "units", "ms"):
        table.add_column(name, justify="right")
    for row in rows:
        low, high = wilson(row.robust, row.images)
        table.add_row(
            row.defence,
            str(row.points),
            f"{100 * row.float_accuracy:.1f}",
            f"{100 * row.clean / row.images:.0f}",
            f"{100 * row.robust / row.images:.0f} [{100 * low:.0f}, {100 * high:.0f}]",
            "" if row.proved is None else f"{100 * row.proved / row.images:.0f}",
            "" if row.units is None else f"{row.units:.1f}",
            "" if row.encrypted_ms is None else f"{row.encrypted_ms:.0f}",
        )
    console.print(table)
    console.print(
        f"float: all {first.test_images} test images; else {first.images}; attacked: worst case of the card, 95 %; "
        "ms: one thread"
    )


APART = 1.015  # from one defence to the next, where a price is the same


def draw(path: Path, rows: Sequence[MeetingRow]) -> None:
    """Robustness against the price of an encrypted evaluation: what attacks leave, and what is proved.

    The price is counted, since a count is the same in every run; what is measured only says what it comes to.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row.defence for row in rows))
    each = [row.encrypted_ms / row.units for row in rows if row.units is not None and row.encrypted_ms is not None]
    for row in rows:
        if row.units is None:
            continue
        place, attacked = names.index(row.defence), 100 * row.robust / row.images
        x = row.units * APART ** (place - len(names) / 2)
        low, high = (100 * end for end in wilson(row.robust, row.images))
        colour, told = f"C{place}", row.defence in axes.get_legend_handles_labels()[1]
        label = None if told else row.defence
        axes.errorbar([x], [attacked], [[attacked - low], [high - attacked]], fmt="o", color=colour, label=label)
        if row.proved is not None:
            axes.plot([x], [100 * row.proved / row.images], "_", color=colour, markersize=14)
    measured = f", {statistics.median(each):.1f} ms each in this run" if each else ""
    axes.set(
        xlabel=f"units of one encrypted evaluation (SEAL's rotations{measured}), equal ones side by side",
        ylabel="right in the worst case, %",
        ylim=(-3, 103),
        title=f"{rows[0].dataset}, Linf {rows[0].radius:g}: attacked (dots, 95 %) and proved (bars)",
    )
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lstrip("."), dpi=150)
    write_atomically(path, picture.getvalue())
