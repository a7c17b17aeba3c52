"""T33, adversarial training: every step learns from what an attack makes of its batch, alone or beside the batch.

One step from the image with half of the loss on clean images is Goodfellow et al. (arXiv:1412.6572, section 6); many
steps from a random point, without a loss on clean images, Madry et al. (arXiv:1706.06083).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Hardening, Recipe

RADII = {"digits": 0.15, "mnist": 0.3, "cifar10": 8 / 255}  # Linf; those of MNIST and CIFAR-10 are customary
STEPS = 5


@dataclass(frozen=True)
class AdversarialTraining:
    """Training against an attack.

    Attributes:
        hardening: The attack, how its radius grows, and the weight of the clean images' loss.
    """

    hardening: Hardening

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so; a hardening that the recipe has is replaced."""
        return make(replace(recipe, hardening=self.hardening), dataset, report=report)


def fgsm(radius: float, *, clean: float = 0.5) -> AdversarialTraining:
    """Training against one step from the image to the surface of the Linf ball.

    Args:
        radius: The radius of the ball.
        clean: The weight of the clean images' loss, from 0 to below 1.
    """
    return AdversarialTraining(Hardening(Ball("linf", radius), 1, clean=clean, random_start=False))


def pgd(radius: float, steps: int = STEPS, *, clean: float = 0.0) -> AdversarialTraining:
    """Training against projected gradient ascent in the Linf ball, from a random point of it.

    Args:
        radius: The radius of the ball.
        steps: How many steps each attack takes, from 1.
        clean: The weight of the clean images' loss, from 0 to below 1.
    """
    return AdversarialTraining(Hardening(Ball("linf", radius), steps, clean=clean))


#: The forms that `defend` knows, given the radius.
FORMS: Mapping[str, Callable[[float], AdversarialTraining]] = MappingProxyType(
    {"pgd": pgd, "fgsm": fgsm, "mixed": partial(pgd, clean=0.5)}
)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "pgd") -> Defended:  # noqa: ARG001
    """Training against one of `FORMS`, within a radius that suits the data set."""
    return Defended(Target(FORMS[form](RADII[dataset.name]).train(recipe, dataset)))
