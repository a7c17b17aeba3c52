"""The networks of M as attackers see them, and how they are attacked: by the document, and by all means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.papers.experiment import Making, Measured, Run
from bench.papers.masked import Head, Network, View, seen
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.defence import Defended
from plaintext_models.evaluation.judge import Share, judge
from plaintext_models.stochastic.reinforce import estimated_gradient, units

PART = 100  # images of a forward


@dataclass(frozen=True)
class Seen:
    """A network as attackers see it.

    Attributes:
        network: How it is trained.
        view: See `bench.papers.masked.seen`.
    """

    network: Network | Head
    view: View = "as trained"

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return (self.network.network if isinstance(self.network, Head) else self.network).data

    def measure(self, run: Run) -> Measured:
        """What is measured of it."""
        raise NotImplementedError

    def defended(self, run: Making, seed: int | None = None) -> tuple[nn.Module, Defended]:
        """The trained network, and what attackers know of it; its draws are decided by a seed, or else the run's."""
        module = run.trained(self.network).module
        return module, seen(module, run.seed if seed is None else seed, self.view)


def fgsm(module: nn.Module, target: Target, images: Tensor, labels: Tensor, radius: float) -> Tensor:
    """One step of the sign of one draw's gradient, cut off at [0, 1], as the document's.

    Where units have no gradient, it is the one that they are trained with: the loss that is told to them.
    """
    parts = []
    for some, classes in zip(images.split(PART), labels.split(PART), strict=True):
        if units(module):
            gradient = estimated_gradient(module, some, classes)
        else:
            gradient, _ = target.gradient(some, partial(cross_entropy, classes=classes))
        parts.append((some + radius * gradient.sign()).clamp(0, 1))
    return torch.cat(parts)


@torch.no_grad()
def right(target: Target, images: Tensor, labels: Tensor) -> Share:
    """How many images are right in one draw."""
    logits = torch.cat([target.logits(part) for part in images.split(PART)])
    return Share.of(logits.argmax(1) == labels)


def adaptive(defended: Defended, images: Tensor, labels: Tensor, ball: Ball, run: Run) -> tuple[Share, Share]:
    """How many images are right in one draw and by majority, each in the worst case over attacks that know everything.

    Gradients are means over draws: of the network itself, through the probabilities behind its thresholds, and of its
    deterministic twin; then Square, by queries alone. The one draw is a fresh one, of that image which fooled most of
    those before: were it one for every attack, chance would choose the worst of them.
    """
    target, effort, goal = defended.target, run.effort, Goal(labels)
    draws = effort.draws if target.stochastic else 1
    sources = (target, *defended.surrogates, *(() if defended.randomness_off is None else (defended.randomness_off,)))
    standing, likely, chance = torch.ones(len(labels), dtype=torch.bool), images.clone(), torch.zeros(len(labels))
    found = []
    for source in sources:
        options: dict[str, Any] = {"draws": draws} if source.stochastic else {}
        found.append(pgd(source, images, goal, ball, steps=effort.steps, seed=run.seed, **options).x_adv)
    queries = effort.queries // (5 if target.stochastic else 1)
    found.append(square(target, images, goal, ball, steps=queries, seed=run.seed).x_adv)
    for moved in found:
        verdict = judge(target, images, goal, moved, ball, draws=draws)
        standing &= ~verdict.broken
        likelier = verdict.admissible & (verdict.chance > chance)
        likely[likelier], chance[likelier] = moved[likelier], verdict.chance[likelier].float()
    once = judge(target, images, goal, likely, ball).robust_once
    return once, Share.of(standing)
