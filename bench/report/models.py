"""Rows of the case `models`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class ModelRow:
    """A network, an attack or a defence.

    Attributes:
        kind: "network", "attack" or "defence".
        name: What it is called.
        identifiers: What the documents' list calls it; empty where no document has it.
        source: The paper that it comes from; of a network, how it is used, its data set and its architecture.
        section: Where the documents speak of it.
    """

    kind: str
    name: str
    identifiers: tuple[str, ...]
    source: str
    section: str


def show(console: Console, rows: Sequence[ModelRow]) -> None:
    """Print one line for each, within 80 columns."""
    for kind in dict.fromkeys(row.kind for row in rows):
        table = Table(title=f"{kind}s", title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for heading in ("", "", "source", "section"):
            table.add_column(heading)
        for row in rows:
            if row.kind == kind:
                table.add_row(" ".join(row.identifiers), row.name, row.source, row.section)
        console.print(table, highlight=False)
