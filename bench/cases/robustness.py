"""The card of a model: many attacks, their worst case, and signs that it is not to be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from bench.cases.options import RobustnessOptions
from bench.harness.case import Reporter
from bench.report.robustness import RobustnessRow, show
from plaintext_models.attacks.core.ball import NORMS, Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.data import datasets
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.defences.stretching import stretched
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import ECONOMICAL, FULL, QUICK, Card, Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.zoo.cache import trained
from plaintext_models.zoo.registry import RECIPES, of_kind

__all__ = ["RobustnessJob", "jobs", "measure", "show"]

EXAMPLES = 10  # adversarial images drawn


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
            one_draw=entry.one_draw.value if card.draws > 1 else None,
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
            one_draw=card.one_draw.value if card.draws > 1 else None,
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
    """The radii of the curve, below and above the card's."""
    return tuple(radius * factor for factor in (0.25, 0.5, 0.75, 1.25, 1.5, 2.0))


@dataclass(frozen=True)
class RobustnessJob:
    """One model, whose card is filled in.

    Attributes:
        model: The name of a model that attacks are tried on.
        data: The folder of its data set; None for where it is found by itself.
        images: How many images of the test part are attacked, its first ones.
        ball: The ball that attacks must stay within.
        effort: How hard the attacks try.
        cache: The folder that trained models are kept in; None to train anew.
        seed: The seed of models and attacks.
        pictures: Whether pictures are drawn.
        defence: The identifier of the defence that the model is trained with or stands behind, if any.
        rivals: The names of the models whose adversarial examples are tried; empty for all of the same data set.
    """

    model: str
    data: Path | None
    images: int
    ball: Ball
    effort: Effort
    cache: Path | None
    seed: int
    pictures: bool
    defence: str | None = None
    rivals: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The model, and its defence."""
        return self.model if self.defence is None else f"{self.model}, {self.defence}"


def jobs(options: RobustnessOptions) -> tuple[RobustnessJob, ...]:
    """One job.

    Raises:
        ValueError: A number is out of range, the data is missing, or a rival reads other data.
    """
    dataset = RECIPES[options.model].dataset
    if foreign := [rival for rival in options.rival if RECIPES[rival].dataset != dataset]:
        raise ValueError(f"`--rival` must be models of {dataset}, got {', '.join(foreign)}")
    available = len(datasets.load(dataset, options.data).test_images)
    if not 1 <= options.images <= available:
        raise ValueError(f"`--images` must be from 1 to {available}, got {options.images}")
    ball = Ball(next(norm for norm in NORMS if norm == options.norm), options.radius)
    effort = ECONOMICAL if options.economical else FULL if options.card else QUICK
    about = options.images, ball, effort, options.cache, options.seed
    pictures = options.plot_dir is not None
    return (RobustnessJob(options.model, options.data, *about, pictures, options.defence, options.rival),)


def measure(job: RobustnessJob, report: Reporter) -> tuple[RobustnessRow, ...]:
    """The rows of the model's card; the pictures of it are handed to `report`."""
    card, target, clean = filled(job, report)
    if job.pictures:
        with TemporaryDirectory() as folder:
            for path in draw(Path(folder), card, target, clean):
                report.picture(path.name, path.read_bytes())
    return rows(job.title, card)


def filled(job: RobustnessJob, report: Reporter) -> tuple[Card, Target, Tensor]:
    """Train a model and its rivals of the same data, whose adversarial examples are tried on it, and fill in the card.

    A defence is attacked as it is: by gradients straight through what has none, averaged over what is random, with the
    detector, by its surrogates, and by examples of the model without what stands around it.

    Returns:
        The card, the model, and the images.
    """
    name, images, ball, cache, seed = job.model, job.images, job.ball, job.cache, job.seed
    dataset = datasets.load(RECIPES[name].dataset, job.data)
    clean, labels = (torch.from_numpy(part[:images]) for part in (dataset.test_images, dataset.test_labels))

    def network(model: str) -> nn.Module:
        return trained(replace(RECIPES[model], seed=seed), dataset, folder=cache, report=report)

    if job.defence is None:
        defended = stretched(network(name))
    else:
        generator = torch.Generator().manual_seed(seed)
        defended = DEFENCES[job.defence].defend(replace(RECIPES[name], seed=seed), dataset, generator)
    rivals = job.rivals or of_kind("attacked", RECIPES[name].dataset)
    sources = [Target(network(rival)) for rival in rivals if rival != name]
    with deterministic(seed):  # on one thread: waiting for each other costs more than steps this small
        card = evaluate(
            defended.target,
            clean,
            labels,
            ball,
            radii=default_radii(ball.require_one_radius()),
            seed=seed,
            transfer_from=sources if defended.bare is None else [defended.bare, *sources],
            randomness_off=defended.randomness_off,
            surrogates=defended.surrogates,
            detector=defended.detector,
            report=report,
            effort=job.effort,
        )
    return card, defended.target, clean


def draw(folder: Path, card: Card, target: Target, images: Tensor) -> tuple[Path, ...]:
    """Draw examples (where anything was found), curve and confidences, as PNG files in a folder."""
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
