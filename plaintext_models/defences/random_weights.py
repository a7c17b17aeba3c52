"""Weights that are drawn with every forward, in the networks of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from plaintext_models.data.datasets import Dataset
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

DECAYS = 2  # an epoch, of the delta rule


@dataclass(frozen=True)
class RandomWeights:
    """Training with weights that are drawn with every step.

    Attributes:
        weights: What `plaintext_models.stochastic.weights.randomise` takes. The interval and the period of the delta
            rule, where none are given, are half an epoch: with a growth of 0.05 in every step, deviations and gradients
            drive each other up without an end on MNIST.
    """

    weights: Mapping[str, Any] = field(default_factory=dict)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, one of `plaintext_models.nets.builders.FLOAT`, trained so."""
        return make(self.changed(recipe, len(dataset.train_images)), dataset, report=report)

    def changed(self, recipe: Recipe, images: int) -> Recipe:
        """The recipe of the same network with weights that are drawn, given how many images it is trained on."""
        weights = dict(self.weights)
        if weights["kind"] == "delta rule":
            half = max(1, images // recipe.batch_size // DECAYS)
            weights = {"interval": half, "period": half, **weights}
        options = {**recipe.options, "weights": weights}
        return replace(recipe, network=f"random_{recipe.network}", options=options, gradient_limit=None)
