"""A8, training on noise: what adversarial training would be if any direction did.

Goodfellow et al. (arXiv:1412.6572, section 6): two controls, which prevent next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII
from plaintext_models.defences.defence import Defended
from plaintext_models.training.noise import noisy
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe


@dataclass(frozen=True)
class NoiseTraining:
    """Training on images with noise.

    Attributes:
        shape: "signs" or "uniform"; see `plaintext_models.training.noise.noisy`.
        radius: How far it moves an element at most.
    """

    shape: str
    radius: float

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so."""
        return make(recipe, dataset, report=report, batch=lambda _: noisy(self.shape, self.radius))


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "signs") -> Defended:  # noqa: ARG001
    """Training on noise within a radius that suits the data set."""
    return Defended(Target(NoiseTraining(form, RADII[dataset.name]).train(recipe, dataset)))
