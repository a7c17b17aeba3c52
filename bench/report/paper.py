"""Rows of the case `paper`, what they say of published orderings, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.papers.columns import SHARE, Column
from bench.report.intervals import Estimate, difference, estimate_number, ratio
from bench.tables.documents import PUBLISHED

if TYPE_CHECKING:
    from plaintext_models.evaluation.judge import Share

ACROSS = 4  # columns of a table that 80 letters have room for
TABLED = 12  # columns of a picture, at most, that tables have as well
POINT = 0.01


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


def excess(higher: Figure, lower: Figure) -> Estimate | None:
    """How much one figure is above another: runs of one seed are compared; None where no seed gave both.

    See `difference`; of a column that is compared by ratio, how many times as much it is, see `ratio`.
    """
    from plaintext_models.evaluation.judge import Share

    runs = [pair for pair in zip(higher.runs, lower.runs, strict=True) if all(map(_known, pair))]
    if not runs:
        return None
    shares = [(p, q) for p, q in runs if isinstance(p, Share) and isinstance(q, Share)]
    if shares:
        return difference(shares)
    numbers = [(p, q) for p, q in runs if isinstance(p, int | float) and isinstance(q, int | float)]
    return ratio(numbers) if higher.column.by_ratio else estimate_number([p - q for p, q in numbers])


def _known(run: Share | float | None) -> bool:
    """Whether a run gave a number, or a share of something."""
    from plaintext_models.evaluation.judge import Share

    return run.n > 0 if isinstance(run, Share) else run is not None


def orderings(rows: Sequence[PaperRow]) -> Iterator[str]:
    """A sentence for every published ordering: it holds or is contradicted where the interval of `excess` decides.

    Where it decides neither, the sentence says whether it excludes the difference of what the document prints.
    """
    found = {(row.identifier, row.setting, figure.column.name): figure for row in rows for figure in row.figures}
    for row in rows:
        for column, other, other_column in row.said_higher:
            higher, lower = (
                found.get((row.identifier, row.setting, column)),
                found.get((row.identifier, other, other_column)),
            )
            if other == row.setting:
                order = f'{row.setting}, "{column}" higher than "{other_column}"'
            elif other_column == column:
                order = f"{row.setting} higher than {other}, {column}"
            else:
                order = f'{row.setting}, "{column}" higher than {other}, "{other_column}"'
            yield f"{row.identifier}: {order}: {_verdict(higher, lower)}"


def _verdict(higher: Figure | None, lower: Figure | None) -> str:
    if higher is None or lower is None or (by := excess(higher, lower)) is None:
        return "is open, not measured"  # such as the confidence of mistakes where there were none
    if by.low is None or by.high is None:
        return "is open, of one run"
    if higher.column.by_ratio:
        verdict = "holds" if by.low > 1 else "is contradicted" if by.high < 1 else "is open"
        return f"{verdict}, {by.value:.3g} times [{by.low:.3g}, {by.high:.3g}]"
    verdict = "holds" if by.low > 0 else "is contradicted" if by.high < 0 else "is open"
    found = f"{verdict}, by {higher.signed(by.value)} [{higher.signed(by.low)}, {higher.signed(by.high)}]"
    if verdict != "is open" or higher.published is None or lower.published is None:
        return found
    printed = higher.published - lower.published
    return found if by.low <= printed <= by.high else f"{found}, without the document's {higher.signed(printed)}"


def nearness(rows: Sequence[PaperRow]) -> Iterator[str]:
    """How many accuracies that a document prints are reached within a point, and how far off the others are.

    Of rows of which nothing was attacked.
    """
    for identifier in dict.fromkeys(row.identifier for row in rows if row.clean):
        printed = {
            f"{row.setting}, {figure.column.name}": (figure, figure.difference)
            for row in rows
            for figure in row.figures
            if row.clean and row.identifier == identifier and figure.column.unit == SHARE
            if figure.difference is not None
        }
        far = [f"{name} {one.signed(off)}" for name, (one, off) in printed.items() if abs(off) > POINT]
        if printed:
            others = f"; the others by {', '.join(far)}" if far else ""
            yield f"{identifier}: {len(printed) - len(far)} of {len(printed)} printed accuracies within a point{others}"


def heading(rows: Sequence[PaperRow]) -> str:
    """How much was run for a result, in a sentence."""
    first = rows[0]
    told = "all test images, none attacked" if first.clean else _counted(first.images, "image")
    names = [*dict.fromkeys(row.dataset for row in rows), told] if first.images or first.clean else []
    smaller = f"; smaller: {first.smaller}" if first.quick and first.smaller else ""
    if first.left_out:
        names.append(f"{len(rows)} of {_counted(len(rows) + first.left_out, 'setting')}")
    run = ", ".join([*names, f"{_counted(len(first.seeds), 'seed')} from {first.seeds[0]}"])
    seconds = sum(row.seconds for row in rows)
    return f"{'quick' if first.quick else 'full'}: {run}, {seconds:.0f} s of one core; shares in %{smaller}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def columns(rows: Sequence[PaperRow]) -> tuple[Column, ...]:
    """All columns that something was measured in, in their order."""
    return tuple(dict.fromkeys(figure.column for row in rows for figure in row.figures))


def tabled(rows: Sequence[PaperRow]) -> tuple[tuple[Column, ...], ...]:
    """The columns that tables have, a table for each picture and for what follows one another without one.

    The bins of histograms and pictures of many columns are only drawn.
    """
    return tuple(
        part
        for drawing, group in groupby(columns(rows), key=lambda column: column.drawing)
        if (part := tuple(group)) and (drawing is None or (drawing.form != "histogram" and len(part) <= TABLED))
    )


def cells(row: PaperRow, across: Sequence[Column]) -> list[Figure | None]:
    """A setting's figures in some columns, None where it has none."""
    found = {figure.column: figure for figure in row.figures}
    return [found.get(column) for column in across]


def show(console: Console, rows: Sequence[PaperRow]) -> None:
    """Print what was measured and what comes of published orderings, within 80 columns."""
    for identifier in dict.fromkeys(row.identifier for row in rows):
        about, own = PUBLISHED[identifier], [row for row in rows if row.identifier == identifier]
        said = escape(f"{about.title} ({about.section}): {about.claim}\n{heading(own)}")
        console.print(f"[bold]{identifier}[/bold], {said}", highlight=False, soft_wrap=True)
        printed = tabled(own)
        for part in printed:
            for start in range(0, len(part), ACROSS):
                console.print(_table(own, part[start : start + ACROSS]), highlight=False)
        for sentence in (*nearness(own), *orderings(own)):
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
        if sum(map(len, printed)) < len(columns(own)):
            console.print("more is drawn by `--report`", highlight=False)


def _table(rows: Sequence[PaperRow], across: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", max_width=22)
    for column in across:
        unit = "" if column.unit in ("", SHARE) else f", {column.unit}"
        table.add_column(escape(f"{column.name}{unit}"), justify="right", max_width=14)
    for row in rows:
        found = cells(row, across)
        if not any(found):
            continue
        table.add_row(escape(row.setting), *("-" if one is None else escape(str(one)) for one in found))
        if any(one is not None and one.published is not None for one in found):
            table.add_row("  published", *map(published_text, found))
            table.add_row("  difference", *map(difference_text, found))
    return table


def published_text(figure: Figure | None) -> str:
    """What the document prints, with all of its digits; "-" for nothing."""
    if figure is None or figure.published is None:
        return "-"
    return " ± ".join(_printed(figure, value) for value in (figure.published, figure.deviation) if value is not None)


def _printed(figure: Figure, value: float) -> str:
    if figure.column.unit != SHARE:
        return f"{value:g}"
    percent = round(100 * value, 6)  # what a division by 100 left of the digits
    return f"{percent:.1f}" if percent == round(percent, 1) else f"{percent:g}"


def difference_text(figure: Figure | None) -> str:
    """Ours less what the document prints, with its sign, "-" for nothing."""
    if figure is None or figure.difference is None:
        return "-"
    return figure.signed(figure.difference)
