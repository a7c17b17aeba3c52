"""Rows of the case `robustness`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

VERDICT, POINT, FLAG, LEFT_OUT = "verdict", "point", "flag", "left out"  # kinds of rows that are no attacks


@dataclass(frozen=True)
class RobustnessRow:
    """One line of a card. Fields that do not apply are None.

    Attributes:
        model: The name of the model.
        kind: The kind of attack, as `plaintext_models.evaluation.card.Entry` has it; or "verdict", "point" (of the
            curve), "flag" and "left out".
        name: The name of the attack or of the flag.
        norm: The norm of the ball.
        radius: The radius of the ball.
        n: The number of images that the attack was tried on.
        right: How many of them are still classified rightly.
        accuracy: The same as a share of `n`, from 0 to 1.
        low: The lower end of the 95 % interval (Wilson) of `accuracy`.
        high: The upper end of it.
        one_draw: The same share in one forward of a model whose answers are random, of which otherwise a majority
            decides; None of others.
        worst: The accuracy on all images in the worst case over this attack and those before, at the card's radius.
        queries: The number of forwards of the model, over all images.
        seconds: The time of the attack; for the verdict, of everything.
        seed: The seed of everything random.
        note: The evidence of a flag, the complaints of the referee, or why something was left out.
    """

    model: str
    kind: str
    name: str
    norm: str
    radius: float | None
    n: int | None = None
    right: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    one_draw: float | None = None
    worst: float | None = None
    queries: int | None = None
    seconds: float | None = None
    seed: int | None = None
    note: str = ""


def show(console: Console, rows: Sequence[RobustnessRow]) -> None:
    """Print the attacks in their order, the verdict, the curve and the flags, within 80 columns."""
    of_kind = {kind: [row for row in rows if row.kind == kind] for kind in (VERDICT, POINT, FLAG, LEFT_OUT)}
    attacks = [row for row in rows if row.kind not in of_kind]
    (verdict,) = of_kind[VERDICT]
    console.print(
        f"[bold]{verdict.model}[/bold], {verdict.norm} radius {verdict.radius:g}, {verdict.n} images, "
        f"seed {verdict.seed}",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    random = verdict.one_draw is not None
    shares = ("majority, %", "once", "worst") if random else ("right, %", "worst, %")
    for heading in ("images", *shares, "queries", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in attacks:
        table.add_row(row.name, *_cells(row, random))
    table.add_row("verdict", *_cells(verdict, random), style="bold")
    console.print(table, highlight=False)
    curve = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in ("radius", "worst case, %"):
        curve.add_column(heading, justify="right", no_wrap=True)
    for row in of_kind[POINT]:
        curve.add_row(f"{row.radius:g}", _percent(row))
    console.print()
    console.print(curve, highlight=False)
    console.print()
    for row in of_kind[FLAG]:
        console.print(f"[red]flag:[/red] {row.name}: {row.note}", highlight=False)
    if not of_kind[FLAG]:
        console.print("no red flag")
    for row in attacks:
        if row.note:
            console.print(f"referee: {row.name}: {row.note}", highlight=False, markup=False)
    for row in of_kind[LEFT_OUT]:
        console.print(f"left out: {row.note}", highlight=False, markup=False)


def _cells(row: RobustnessRow, random: bool) -> tuple[str, ...]:
    one, worst = ("-" if share is None else f"{100 * share:.1f}" for share in (row.one_draw, row.worst))
    shares = (_percent(row), one, worst) if random else (_percent(row), worst)
    return f"{row.n}", *shares, f"{row.queries:,}", f"{row.seconds:.2f}"


def _percent(row: RobustnessRow) -> str:
    if row.accuracy is None or row.low is None or row.high is None:
        return "-"
    return f"{100 * row.accuracy:.1f} [{100 * row.low:.0f}, {100 * row.high:.0f}]"
