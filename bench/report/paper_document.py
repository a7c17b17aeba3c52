"""A report of published results, measured again: one text in Markdown and, with its pictures within, in HTML."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.papers.columns import SHARE, Column
from bench.report.paper import cells, difference_text, heading, nearness, published_text, tabled
from bench.report.paper_drawings import Picture, pictures
from bench.report.paper_orders import OUTCOMES, Judged, judged
from bench.report.paper_rows import PaperRow
from bench.tables.documents import DOCUMENTS, PUBLISHED

TITLE = "Published results, measured again"
ABOUT = (
    "Means over the seeds with 95 % intervals: Student's over the seeds, of shares at least as wide as Wilson's of the "
    "images of one run. Crosses in curves, and brackets in matrices, are what the document prints. Orders that a "
    "document states hold or are contradicted where the interval of the difference leaves out 0: Student's over the "
    "differences seed by seed, joined for shares with Agresti and Min's over the images, or with Newcombe's where "
    "these differ; else they are open. Of a hundred orders of figures that are equal in truth, about five are called "
    "something else by chance, and more where a training fails with one seed in several. More seeds (`--seeds`) and "
    "images settle more. The differences of a quick version are from a smaller network or training than the document's."
)
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;"
    "font-size:13px;display:block;overflow-x:auto}td,th{padding:.15rem .6rem;text-align:right;white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left}tr{border-bottom:1px solid #ddd}img{max-width:100%}"
)
ACROSS = 12  # columns of a table that a page has room for
ROUND = str.maketrans("[]", "()")  # what a picture is called in Markdown ends at a square bracket
TYPES = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Title:
    """A heading.

    Attributes:
        text: The heading.
        level: 1 for the report's, 2 for a part's.
    """

    text: str
    level: int = 2


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        lines: Its rows of cells, the headings first.
    """

    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class List:
    """Sentences, one under the other.

    Attributes:
        items: The sentences.
    """

    items: tuple[str, ...]


Block = Title | Table | List | Picture | str


def report(rows: Sequence[PaperRow]) -> Mapping[str, bytes]:
    """The files of a report, by their names: report.md, report.html, and the pictures that the first one shows."""
    blocks = tuple(_blocks(rows))
    drawn = {block.name: block.content for block in blocks if isinstance(block, Picture)}
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{TITLE}</title><style>{STYLE}</style>'
        + "\n".join(map(_html, blocks))
        + "</html>\n"
    )
    return {"report.md": "\n".join(map(_markdown, blocks)).encode(), "report.html": page.encode(), **drawn}


def _blocks(rows: Sequence[PaperRow]) -> Iterator[Block]:
    yield Title(TITLE, 1)
    yield ABOUT
    if len({row.identifier for row in rows}) > 1:
        yield from _orders(tuple(judged(rows)))
    found = {name: [row for row in rows if row.identifier == name] for name in PUBLISHED}
    for identifier, own in found.items():
        if not own:
            continue
        about = PUBLISHED[identifier]
        yield Title(f"{identifier}: {about.title}")
        yield f"{about.section}: {about.claim}."
        yield f"{heading(own)}."
        for across in tabled(own):
            yield from (_table(own, across[start : start + ACROSS]) for start in range(0, len(across), ACROSS))
        if verdicts := (*nearness(own), *map(str, judged(own))):
            yield List(verdicts)
        yield from pictures(own)
    yield Title("What was not run")
    yield List(tuple(_not_run(found)))


def _orders(orders: Sequence[Judged]) -> Iterator[Block]:
    """How many orders of every document came to what, and all that do not hold."""
    if not orders:
        return
    yield Title("What became of the orders")
    lines: list[tuple[str, ...]] = [
        ("", "stated", "hold", "contradicted", "open", "open, without the document's difference")
    ]
    for letter, document in (*DOCUMENTS.items(), ("", "all")):
        own = [order for order in orders if order.identifier.startswith(letter)]
        counts = [sum(order.outcome == outcome for order in own) for outcome in OUTCOMES]
        if own:
            lines.append((document, *map(str, (len(own), *counts, sum(bool(order.otherwise) for order in own)))))
    yield Table(tuple(lines))
    if rest := tuple(str(order) for outcome in OUTCOMES[1:] for order in orders if order.outcome == outcome):
        yield List(rest)


def _table(rows: Sequence[PaperRow], across: Sequence[Column]) -> Table:
    """The settings that have figures in some columns, and in lines of their own what is published.

    Above the settings stands what the columns are a picture of.
    """
    drawing = across[0].drawing
    lines = [
        (
            "" if drawing is None else drawing.title,
            *(f"{one.name}{'' if one.unit in ('', SHARE) else f', {one.unit}'}" for one in across),
        )
    ]
    for row in rows:
        own = cells(row, across)
        if not any(own):
            continue
        lines.append((row.setting, *("-" if one is None else str(one) for one in own)))
        if any(one is not None and one.published is not None for one in own):
            lines.append(("published", *map(published_text, own)))
            lines.append(("difference", *map(difference_text, own)))
    return Table(tuple(lines))


def _not_run(found: Mapping[str, Sequence[PaperRow]]) -> Iterator[str]:
    """A sentence for every result that was not measured, and for every full version that was not."""
    for identifier, own in found.items():
        if not own:
            about = PUBLISHED[identifier]
            yield f"{identifier}, {about.title}: python -m bench paper {identifier}{'' if about.quick else ' --full'}"
        elif own[0].quick or own[0].clean or own[0].left_out:
            hours = own[0].full_hours
            takes = "not estimated" if hours is None else f"about {hours:g} h of one core"
            yield f"{identifier} in full, {takes}: python -m bench paper {identifier} --full"


def _markdown(block: Block) -> str:
    match block:
        case Title(text, level):
            return f"{'#' * level} {_plain(text)}\n"
        case Table(lines):
            cells = [[_plain(cell).replace("|", "\\|") for cell in line] for line in lines]
            rule = ["---", *["---:"] * (len(lines[0]) - 1)]
            return "".join(f"| {' | '.join(line)} |\n" for line in (cells[0], rule, *cells[1:]))
        case List(items):
            return "".join(f"- {_plain(item)}\n" for item in items)
        case Picture(name, caption):
            return f"![{_plain(caption).translate(ROUND)}]({name})\n\n{_plain(caption)}\n"
        case str():
            return f"{_plain(block)}\n"


def _plain(text: str) -> str:
    """A text of which Markdown takes nothing for a tag of HTML."""
    return html.escape(text, quote=False)


def _html(block: Block) -> str:
    match block:
        case Title(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Table(lines):
            rows = (
                "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in line)
                for cell, line in zip(("th", *["td"] * (len(lines) - 1)), lines, strict=True)
            )
            return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
        case List(items):
            return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>"
        case Picture(name, caption, content):
            kind, data = TYPES[name.rpartition(".")[2]], base64.b64encode(content).decode()
            text = html.escape(caption)
            return f'<figure><img alt="{text}" src="data:{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'
        case str():
            return f"<p>{html.escape(block)}</p>"
