"""A network with a defence or without: as it is, under one published step, and under attacks that know the defence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.papers.columns import Column
from bench.papers.experiment import Making, Measured, Run, Trained
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share, Unnoticed, guarded, judge, reached
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.zoo.make import make, untrained
from plaintext_models.zoo.recipe import Recipe

CLEAN, PUBLISHED, ADAPTIVE, ONE_DRAW = "clean", "published attack", "adaptive", "adaptive, one draw"
FLAGS = "red flags"
PART = 1000  # test images that are asked at once

#: What `attacked` measures: accuracies, in %; that of one draw where answers are random, the others by majority. And
#: signs that attacks failed for want of gradients, see `plaintext_models.evaluation.flags`.
COLUMNS = (Column(CLEAN), Column(PUBLISHED), Column(ADAPTIVE), Column(FLAGS, "a card"), Column(ONE_DRAW))


@dataclass(frozen=True)
class FromRecipe:
    """The training of a recipe, whose own seed does not matter.

    Attributes:
        recipe: The network and its training.
    """

    recipe: Recipe

    def build(self, making: Making) -> torch.nn.Module:
        """The network before it is trained."""
        return untrained(replace(self.recipe, seed=making.seed), making.dataset)

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        recipe = replace(self.recipe, seed=making.seed)
        return Trained(make(recipe, making.dataset, report=making.report))


@dataclass(frozen=True)
class Attacked:
    """A network, its defence, and the radius at which it is attacked.

    Attributes:
        recipe: The network and its training.
        radius: Of the Linf ball of the published attack, one step, and of the card.
        defence: The identifier of its defence in `plaintext_models.defences.registry`; None for none.
    """

    recipe: Recipe
    radius: float
    defence: str | None = None

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.recipe.dataset

    def measure(self, run: Run) -> Measured:
        """Train the network, and attack it in both ways."""
        return Measured(attacked(self._defended(run), run, self.radius))

    def unattacked(self, making: Making) -> Measured:
        """The accuracy; by majority where answers are random."""
        with deterministic(making.seed):
            return Measured({CLEAN: clean(self._defended(making), making)})

    def _defended(self, making: Making) -> Defended:
        if self.defence is None:
            return Defended(Target(making.trained(FromRecipe(self.recipe)).module))
        making.report(f"training with {self.defence}")
        recipe, generator = replace(self.recipe, seed=making.seed), torch.Generator().manual_seed(making.seed)
        return DEFENCES[self.defence].defend(recipe, making.dataset, generator)


def attacked(defended: Defended, run: Run, radius: float) -> dict[str, Share | float]:
    """The figures of `COLUMNS`.

    The published attack is one step of the gradient sign on the network that is seen by who knows of no defence; what
    comes of it is judged on the defended one. The adaptive value is the worst case of the card and of that attack,
    which who knows more may take, too; by majority where answers are random, and beside it the card's in one draw.

    Args:
        defended: What is attacked.
        run: Its seed, images and effort.
        radius: Of the Linf balls.
    """
    images, labels = run.attacked()
    ball, detector = Ball("linf", radius), defended.detector
    judged, goal = _judged(defended, labels)
    with deterministic(run.seed):
        known, generator = defended.bare or defended.target, torch.Generator().manual_seed(run.seed)
        moved = ascend(known, images, Goal(labels), ball, steps=1, generator=generator, random_start=False)
        verdict = judge(judged, images, goal, moved, ball, draws=run.effort.draws)
        card = evaluate(
            defended.target,
            images,
            labels,
            ball,
            seed=run.seed,
            transfer_from=() if defended.bare is None else (defended.bare,),
            randomness_off=defended.randomness_off,
            surrogates=defended.surrogates,
            detector=detector,
            report=run.report,
            effort=run.effort,
        )
    standing = (card.nearest > radius) & ~verdict.broken
    found: dict[str, Share | float] = {
        CLEAN: card.clean,
        PUBLISHED: verdict.robust,
        ADAPTIVE: Share.of(standing),
        FLAGS: float(len(card.findings)),
    }
    return found | {ONE_DRAW: card.one_draw} if defended.target.stochastic else found


def clean(defended: Defended, making: Making) -> Share:
    """How many of all test images a defended network answers rightly, or turns away."""
    tests = (torch.from_numpy(part).split(PART) for part in (making.dataset.test_images, making.dataset.test_labels))
    wrong = []
    for images, labels in zip(*tests, strict=True):
        judged, goal = _judged(defended, labels)
        wrong.append(reached(judged, images, goal, draws=Effort().draws))
    return Share.of(~torch.cat(wrong))


def _judged(defended: Defended, labels: Tensor) -> tuple[Target, Goal]:
    """What is asked, and what an attack has to reach: where there is a detector, unnoticed."""
    if defended.detector is None:
        return defended.target, Goal(labels)
    return guarded(defended.target, defended.detector), Unnoticed(labels)
