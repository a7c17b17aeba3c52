"""T42: the standard and the robust risk, each of networks that were trained to make one of them small.

The standard risk is the mean loss (5.1), the robust one the mean of the greatest loss in an Linf ball (5.2), both in
nats. The document's ball has no bounds; here its images stay within [0, 1]. What an attack reaches is below the
greatest loss, what intervals cannot rule out is above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bench.papers.attacked import FromRecipe
from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Making, Measured, Order, Run, Scale, Setting
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.proofs.certified import worst_logits
from plaintext_models.proofs.schedule import Schedule
from plaintext_models.zoo.recipe import Hardening, Recipe
from plaintext_models.zoo.registry import RECIPES

RADII = (0.0, 0.02, 0.05, 0.1)
RADIUS = RADII[-1]  # ours, as of T's defences: the document names none
STEPS, STARTS = 40, 3  # of the ascent, and the points of the ball that it begins at, beside the image
FOUND, LEARNT, ABOVE = "risk, found", "risk on training images, found", "risk, at most"
CLEAN, REACHED, ADAPTIVE, PROVED = "clean", "ascent", "adaptive", "proved"
PART = 500  # images of a forward
STANDARD, ROBUST = "on the standard risk", "on the robust risk"  # which networks were trained


@dataclass(frozen=True)
class Risks:
    """Both risks of a network.

    Attributes:
        recipe: The network and its training, a chain that intervals go through.
    """

    recipe: Recipe

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.recipe.dataset

    def measure(self, run: Run) -> Measured:
        """Risks on test and on training images, and what is right: clean, attacked in two ways, and proved."""
        module = run.trained(FromRecipe(self.recipe)).module
        images, labels = run.attacked()
        learnt = (
            torch.from_numpy(part[: len(images)]) for part in (run.dataset.train_images, run.dataset.train_labels)
        )
        learnt_images, learnt_labels = learnt
        figures: dict[str, Share | float] = {}
        for radius in RADII:
            run.report(f"radius {radius:g}")
            losses, right = found(module, images, labels, radius, run.seed)
            figures[f"{FOUND} {radius:g}"] = losses.mean().item()
            if radius in (0.0, RADIUS):
                figures[REACHED if radius else CLEAN] = Share.of(right)
            losses, _ = found(module, learnt_images, learnt_labels, radius, run.seed)
            figures[f"{LEARNT} {radius:g}"] = losses.mean().item()
            losses, proved = bounded(module, images, labels, radius)
            figures[f"{ABOVE} {radius:g}"] = losses.mean().item()
        card = evaluate(Target(module), images, labels, Ball("linf", RADIUS), seed=run.seed, effort=run.effort)
        return Measured(figures | {ADAPTIVE: card.verdict, PROVED: Share.of(proved)})

    def unattacked(self, making: Making) -> Measured:
        """The standard risk and the accuracy."""
        tests = map(torch.from_numpy, (making.dataset.test_images, making.dataset.test_labels))
        losses, right = _asked(making.trained(FromRecipe(self.recipe)).module, *tests)
        return Measured({f"{FOUND} 0": losses.mean().item(), CLEAN: Share.of(right)})


def found(module: nn.Module, images: Tensor, labels: Tensor, radius: float, seed: int) -> tuple[Tensor, Tensor]:
    """The greatest loss that gradient ascent comes to in the Linf ball within [0, 1] around every image.

    Args:
        module: The network, for images in [0, 1].
        images: [n, *shape].
        labels: Classes, [n].
        radius: Of the ball, from 0; at 0 it is the loss of the image.
        seed: Of the points at which ascents begin.

    Returns:
        Losses [n] in nats, and whether the label is the answer to all that was looked at, [n].
    """
    target, goal, ball = Target(module), Goal(labels), Ball("linf", radius)
    generator = torch.Generator().manual_seed(seed)
    worst, right = _asked(module, images, labels)
    for start in range(1 + STARTS if radius else 0):
        moved = ascend(target, images, goal, ball, steps=STEPS, generator=generator, random_start=start > 0)
        losses, still = _asked(module, moved, labels)
        worst, right = torch.maximum(worst, losses), right & still
    return worst, right


@torch.no_grad()
def bounded(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """A bound of the loss in the Linf ball within [0, 1] around every image, and whether intervals prove the label.

    Args:
        module: As in `worst_logits`.
        images: [n, *shape] in [0, 1].
        labels: Classes, [n].
        radius: Of the ball, from 0.

    Returns:
        Losses [n] in nats, none below any in the ball but for roundings, and whether the label is proved, [n].
    """
    logits = worst_logits(module, images, labels, radius)
    return cross_entropy(logits, labels), (logits.scatter(1, labels[:, None], -torch.inf) < 0).all(1)


@torch.no_grad()
def _asked(module: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = torch.cat([module(part) for part in images.split(PART)])
    return cross_entropy(logits, labels), logits.argmax(1) == labels


def _settings(quick: bool) -> tuple[Setting, ...]:
    plain = RECIPES["digits-mlp" if quick else "mnist-cnn"]
    recipes = {
        STANDARD: plain,
        ROBUST: replace(plain, hardening=Hardening(Ball("linf", RADIUS), 5 if quick else 40)),
        "on a bound of it": replace(plain, proofs=Schedule(RADIUS)),
    }
    return tuple(Setting(name, Risks(recipe)) for name, recipe in recipes.items())


#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T42": Experiment(
            _settings,
            (
                *(
                    column
                    for line in (FOUND, LEARNT, ABOVE)
                    for column in curve(Drawing(line, "curve", "radius", "nats"), line, RADII, "nats")
                ),
                *map(Column, (CLEAN, REACHED, ADAPTIVE, PROVED)),
            ),
            (
                Order(ROBUST, STANDARD, f"{LEARNT} 0"),
                Order(ROBUST, STANDARD, f"{FOUND} 0"),
                Order(STANDARD, ROBUST, f"{LEARNT} {RADIUS:g}"),
                Order(STANDARD, ROBUST, f"{FOUND} {RADIUS:g}"),
                Order(STANDARD, ROBUST, CLEAN),
                Order(ROBUST, STANDARD, ADAPTIVE),
            ),
            quick=Scale(4, 360),
            full=Scale(5, 1000),
            smaller="digits and a perceptron for MNIST and a convolutional network, 5 steps of attacks in training",
            hours=4,
        )
    }
)
