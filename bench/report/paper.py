"""How rows of the case `paper` are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.papers.columns import SHARE, Column
from bench.report.paper_orders import judged, tallied
from bench.report.paper_rows import Figure, PaperRow
from bench.tables.documents import PUBLISHED

ACROSS = 4  # columns of a table that 80 letters have room for
TABLED = 12  # columns of a picture, at most, that tables have as well
POINT = 0.01


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
    """Print what was measured and what became of published orders, within 80 columns."""
    for identifier in dict.fromkeys(row.identifier for row in rows):
        about, own = PUBLISHED[identifier], [row for row in rows if row.identifier == identifier]
        said = escape(f"{about.title} ({about.section}): {about.claim}\n{heading(own)}")
        console.print(f"[bold]{identifier}[/bold], {said}", highlight=False, soft_wrap=True)
        printed = tabled(own)
        for part in printed:
            for start in range(0, len(part), ACROSS):
                console.print(_table(own, part[start : start + ACROSS]), highlight=False)
        for sentence in (*nearness(own), *map(str, judged(own))):
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
        if sum(map(len, printed)) < len(columns(own)):
            console.print("more is drawn by `--report`", highlight=False)
    if len({row.identifier for row in rows}) > 1 and (orders := tuple(judged(rows))):
        console.print(f"All together, {tallied(orders)}", highlight=False, soft_wrap=True)


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
