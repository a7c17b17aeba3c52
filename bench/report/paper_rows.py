"""Rows of the case `paper`: what was measured of a setting, beside what a document prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.papers.columns import SHARE, Column
from bench.report.intervals import Estimate

if TYPE_CHECKING:
    from plaintext_models.evaluation.judge import Share


@dataclass(frozen=True)
class Figure:
    """What was measured of one setting in one column.

    Attributes:
        column: The column.
        ours: What was measured.
        published: What the document prints; None where it prints nothing.
        deviation: What it prints behind "±"; None where it prints nothing.
        difference: Ours less `published`.
        runs: What was measured with every seed; None where that gave nothing.
    """

    column: Column
    ours: Estimate
    published: float | None
    deviation: float | None
    difference: float | None
    runs: tuple[Share | float | None, ...] = ()

    def text(self, value: float) -> str:
        """A value of this column as it is printed, without its unit."""
        return f"{100 * value:.1f}" if self.column.unit == SHARE else f"{value:.4g}"

    def signed(self, value: float) -> str:
        """A difference of values of this column as it is printed, with its sign, without its unit."""
        return f"{'+' if value >= 0 else ''}{self.text(value)}"

    def __str__(self) -> str:
        ours, share = self.ours, self.column.unit == SHARE
        if ours.low is None or ours.high is None:
            return self.text(ours.value)
        ends = (f"{100 * end:.0f}" if share else f"{end:.3g}" for end in (ours.low, ours.high))
        return f"{self.text(ours.value)} [{', '.join(ends)}]"


@dataclass(frozen=True)
class PaperRow:
    """One setting of a published result.

    Attributes:
        identifier: What the documents' list calls the result.
        setting: The line of it.
        dataset: The data set.
        quick: Whether this is the quick version.
        smaller: In what that is smaller, beside seeds, images and the card's effort.
        images: How many test images were attacked in each run; 0 where there is nothing to attack.
        seeds: The seeds of the runs.
        figures: What was measured.
        said_higher: Of which other figures the document says that they are lower: the column of this setting, the other
            setting, and its column.
        digests: For every seed, the SHA-256 of everything that determines its run.
        seconds: The time of one core that all runs took together when they were made.
        arrays: For every seed the file that holds what only pictures show, if there is one.
        pictures: How those arrays are drawn: their names, and one of `experiment.Shown`.
        full_hours: What the full version is estimated to take, in hours of one core; None where that is not known.
        clean: Whether nothing was attacked, and only that measured which needs no attack, of all test images.
        left_out: How many settings of the result were not run.
    """

    identifier: str
    setting: str
    dataset: str
    quick: bool
    smaller: str
    images: int
    seeds: tuple[int, ...]
    figures: tuple[Figure, ...]
    said_higher: tuple[tuple[str, str, str], ...]
    digests: tuple[str, ...]
    seconds: float
    arrays: tuple[str, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    full_hours: float | None = None
    clean: bool = False
    left_out: int = 0

    def figure(self, column: str) -> Figure:
        """The figure of a column.

        Raises:
            KeyError: It was not measured.
        """
        for figure in self.figures:
            if figure.column.name == column:
                return figure
        raise KeyError(column)
