"""Rows of the case `selection`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

BEST = 5  # candidates that are printed beside the recipe and other filters


@dataclass(frozen=True)
class SelectionRow:
    """A candidate for the constants of a head, and what it reads of training images that were held out.

    Attributes:
        dataset: The name of the data set.
        head: What the candidate is for.
        filters: The number of filters.
        window: Their height and width.
        pool: The height and width of what is averaged.
        features: The number of features.
        calibration: How many samples the whitening is made from.
        ridge: What is added to every variance, in mean variances.
        bound: The bound on the top eigenvalue that steps are for.
        ratio: The ratio of the eigenvalues that steps are for.
        n_asked: The number of held-out images, over all parts and draws.
        accuracy: The share of them that are read rightly.
        top_eigenvalue: The largest top eigenvalue of the samples that were trained on.
        has_margin: Whether the bound is at least a tenth above that.
        is_recipe: Whether these are the constants in `he.training.recipes`.
    """

    dataset: str
    head: str
    filters: int
    window: int
    pool: int
    features: int
    calibration: int
    ridge: float
    bound: float
    ratio: float
    n_asked: int
    accuracy: float
    top_eigenvalue: float
    has_margin: bool
    is_recipe: bool

    @property
    def form(self) -> str:
        """The filters and the pool in short."""
        return f"{self.filters} of {self.window} x {self.window}, {self.pool}"


def show(console: Console, rows: Sequence[SelectionRow]) -> None:
    """Print, for each recipe, the best candidates with a margin, the recipe, and other filters, within 80 columns."""
    for _, candidates in groupby(rows, lambda row: (row.dataset, row.head)):
        group = list(candidates)
        recipe = next(row for row in group if row.is_recipe)
        own = [row for row in group if row.form == recipe.form]
        allowed = sorted((row for row in own if row.has_margin), key=lambda row: -row.accuracy)
        table = Table(box=None, padding=(0, 1), pad_edge=False, title_justify="left")
        table.title = f"{recipe.dataset}, {recipe.head}: {recipe.n_asked:,} answers on held-out training images"
        for heading in ("filters, pool", "samples", "ridge", "bound", "ratio", "top", "right"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("")
        others = [row for row in group if row.form != recipe.form]
        for row, note in [(row, "") for row in allowed[:BEST]] + [(recipe, "taken")] + [(row, "") for row in others]:
            table.add_row(
                row.form,
                f"{row.calibration}",
                f"{row.ridge:g}",
                f"{row.bound:g}",
                f"{row.ratio:g}",
                f"{row.top_eigenvalue:.2f}",
                f"{100 * row.accuracy:.2f} %",
                note,
            )
        console.print(table)
        better = sum(row.accuracy > recipe.accuracy for row in allowed)
        deviation = (recipe.accuracy * (1 - recipe.accuracy) / recipe.n_asked) ** 0.5
        console.print(
            f"of {len(own)} candidates with these filters, {len(allowed)} leave a tenth to the bound; {better} of them "
            f"read more than what is taken, at most {100 * (allowed[0].accuracy - recipe.accuracy):.2f} % more; a "
            f"deviation of these answers is {100 * deviation:.2f} %",
            highlight=False,
        )
