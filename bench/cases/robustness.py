"""Models whose robustness is evaluated, and the card for people and as rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from plaintext_models.attacks.core.ball import Ball, Norm
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Card, Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import Report, evaluate
from plaintext_models.zoo.cache import trained
from plaintext_models.zoo.registry import RECIPES, of_kind

EXAMPLES = 10  # adversarial images drawn


@dataclass(frozen=True)
class RobustnessRow:
    """One line of a card. Fields that do not apply are None.

    Attributes:
        model: Its name.
        kind: See `Entry`; or "verdict", "point" (of the curve), "flag" and "left out".
        name: Of the attack, or of the flag.
        norm: Of the ball.
        radius: Of the ball.
        n: Images that it was tried on.
        right: How many of them are still right.
        accuracy: The same, from 0 to 1.
        low: Lower end of its 95 % interval (Wilson).
        high: Upper end.
        worst: Accuracy on all images in the worst case over this attack and those before, at the card's radius.
        queries: Forwards of the model, in total.
        seconds: Of the attack; of everything, for the verdict.
        seed: Of everything random.
        note: Evidence of a flag, complaints of the referee, or why something was left out.
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
    worst: float | None = None
    queries: int | None = None
    seconds: float | None = None
    seed: int | None = None
    note: str = ""


def rows(model: str, card: Card) -> tuple[RobustnessRow, ...]:
    """A card as rows: attacks, verdict, curve, flags, and what was left out."""

    def row(kind: str, name: str, radius: float | None, robust: Share, **rest: Any) -> RobustnessRow:
        numbers = robust.n, robust.count, robust.value, *robust.interval
        return RobustnessRow(model, kind, name, card.norm, radius, *numbers, seed=card.seed, **rest)

    found = [
        row(
            entry.kind,
            entry.name,
            entry.radius,
            entry.robust,
            worst=entry.worst.value,
            queries=entry.queries,
            seconds=entry.seconds,
            note="; ".join(entry.complaints),
        )
        for entry in card.entries
    ]
    queries = sum(entry.queries for entry in card.entries)
    found.append(
        row(
            "verdict",
            "worst case of all",
            card.radius,
            card.verdict,
            worst=card.verdict.value,
            queries=queries,
            seconds=card.seconds,
        )
    )
    found += [row("point", "worst case of all", point.radius, point.robust) for point in card.curve]
    found += [RobustnessRow(model, "flag", f.name, card.norm, card.radius, note=f.evidence) for f in card.findings]
    found += [RobustnessRow(model, "left out", "", card.norm, card.radius, note=what) for what in card.left_out]
    return tuple(found)


def default_radii(radius: float) -> tuple[float, ...]:
    """Around the card's, for the curve."""
    return tuple(radius * factor for factor in (0.25, 0.5, 0.75, 1.25, 1.5, 2.0))


def measure(
    name: str,
    dataset: Dataset,
    *,
    images: int,
    norm: Norm,
    radius: float,
    effort: Effort,
    cache: Path | None,
    seed: int,
    report: Report,
) -> tuple[Card, Target, Tensor]:
    """Train a model and its rival of the same data, whose adversarial examples are tried on it, and fill in the card.

    Args:
        name: Key of RECIPES.
        dataset: Its data.
        images: How many of the test part, its first ones.
        norm: Of the ball.
        radius: Of the ball.
        effort: Of the attacks.
        cache: See `trained`.
        seed: Of models and attacks.
        report: Told what goes on.

    Returns:
        The card, the model, and the images.

    Raises:
        ValueError: A number is out of range; or see `trained`.
    """
    if not 1 <= images <= len(dataset.test_images):
        raise ValueError(f"`--images` must be from 1 to {len(dataset.test_images)}, got {images}")
    ball = Ball(norm, radius)  # refuses before anything is trained
    clean, labels = (torch.from_numpy(part[:images]) for part in (dataset.test_images, dataset.test_labels))
    rivals = [other for other in of_kind("attacked", RECIPES[name].dataset) if other != name]
    target, *sources = (
        Target(trained(replace(RECIPES[model], seed=seed), dataset, folder=cache, report=report))
        for model in (name, *rivals)
    )
    with deterministic(seed):  # on one thread: waiting for each other costs more than steps this small
        card = evaluate(
            target,
            clean,
            labels,
            ball,
            radii=default_radii(radius),
            seed=seed,
            transfer_from=sources,
            report=report,
            effort=effort,
        )
    return card, target, clean


def print_card(console: Console, model: str, card: Card) -> None:
    """The attacks in their order, the verdict, the curve and the flags. Fits 80 columns."""
    console.print(
        f"[bold]{model}[/bold], {card.norm} radius {card.radius:g}, {card.verdict.n} images, seed {card.seed}",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("images", "right, %", "worst, %", "queries", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in card.entries:
        worst = f"{100 * entry.worst.value:.1f}"
        cells = f"{entry.robust.n}", _percent(entry.robust), worst, f"{entry.queries:,}", f"{entry.seconds:.2f}"
        table.add_row(entry.name, *cells)
    total = sum(entry.queries for entry in card.entries)
    worst = f"{100 * card.verdict.value:.1f}"
    ends = f"{card.verdict.n}", _percent(card.verdict), worst, f"{total:,}", f"{card.seconds:.2f}"
    table.add_row("verdict", *ends, style="bold")
    console.print(table, highlight=False)
    curve = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in ("radius", "worst case, %"):
        curve.add_column(heading, justify="right", no_wrap=True)
    for point in card.curve:
        curve.add_row(f"{point.radius:g}", _percent(point.robust))
    console.print()
    console.print(curve, highlight=False)
    console.print()
    for finding in card.findings:
        console.print(f"[red]flag:[/red] {finding.name}: {finding.evidence}", highlight=False)
    if not card.findings:
        console.print("no red flag")
    for entry in card.entries:
        for complaint in entry.complaints:
            console.print(f"referee: {entry.name}: {complaint}", highlight=False, markup=False)
    for what in card.left_out:
        console.print(f"left out: {what}", highlight=False, markup=False)


def draw(folder: Path, card: Card, target: Target, images: Tensor) -> tuple[Path, ...]:
    """Examples (where anything was found), curve and confidences, as PNG files in a folder."""
    from plaintext_models.evaluation.pictures import draw_confidences, draw_curve, draw_examples

    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        before, after = (target.logits(part).softmax(1).max(1) for part in (images, card.adversarial))
    found = (card.nearest > 0) & (card.nearest <= card.radius)
    written = [folder / "curve.png", folder / "confidences.png"]
    draw_curve(written[0], card.curve, norm=card.norm)
    draw_confidences(written[1], before.values, after.values[found])
    if found.any():
        written.append(folder / "examples.png")
        some = found.nonzero().squeeze(1)[:EXAMPLES]
        captions = [f"{before.indices[i]} as {after.indices[i]}" for i in some.tolist()]
        draw_examples(written[-1], images[some], card.adversarial[some], captions)
    return tuple(written)


def _percent(share: Share) -> str:
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"
