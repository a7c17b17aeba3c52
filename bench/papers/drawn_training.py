"""Networks whose weights are drawn, or not, as they are trained: with what can be said of them after every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.papers.experiment import Making, Trained
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset, validation_split
from plaintext_models.data.subsets import first
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.random_weights import RandomWeights
from plaintext_models.stochastic.draws import draw_from, drawing, twin
from plaintext_models.stochastic.weights import variance
from plaintext_models.zoo.make import make, untrained
from plaintext_models.zoo.recipe import Recipe

EVERY = 7  # one training image of so many is held out for validation, but no more than
MOST = 2000
ATTACKED = 1000  # of those, that are attacked after every epoch
VALIDATION, DISTURBED, VARIANCE, HELD_OUT = "validation", "attacked", "variance", "held out"  # what a record has


@dataclass(frozen=True)
class DrawnWeights:
    """The training of a recipe, with weights that are drawn.

    Its record has, for every epoch, how many held-out training images are right, and of some of them what one step of
    the gradient sign makes of them; the sum of all variances; and how many images both are counted of.

    Attributes:
        recipe: The network and its training, whose own seed does not matter.
        weights: What `plaintext_models.defences.random_weights.RandomWeights` takes; nothing for fixed weights.
        part: On how many training images; None for all that are not held out.
        drawn: Whether its answers are drawn, too, and not those of the means.
        radius: Of that step.
    """

    recipe: Recipe
    weights: Mapping[str, Any] = field(default_factory=dict)
    part: int | None = None
    drawn: bool = False
    radius: float = 0.1

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return untrained(self._changed(self._data(making.dataset), making.seed), making.dataset)

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        used, record = self._data(making.dataset), dict[str, list[float]]()

        def watch(module: nn.Module, epoch: int) -> None:
            for name, value in self._seen(module, used, epoch).items():
                record.setdefault(name, []).append(value)

        module = make(self._changed(used, making.seed), used, report=making.report, watch=watch)
        held_out = len(used.test_images)
        arrays = {name: np.array(values) for name, values in record.items()}
        return Trained(module, {**arrays, HELD_OUT: np.array([held_out, min(held_out, ATTACKED)])})

    def defended(self, module: nn.Module, generator: torch.Generator) -> Defended:
        """The trained network as attacks see it, its draws from a generator."""
        if self.drawn:
            return Defended(drawing(module, generator), randomness_off=twin(module))
        return Defended(twin(module) if self.weights else Target(module))

    def _changed(self, used: Dataset, seed: int) -> Recipe:
        recipe = replace(self.recipe, seed=seed)
        return RandomWeights(self.weights).changed(recipe, len(used.train_images)) if self.weights else recipe

    def _data(self, dataset: Dataset) -> Dataset:
        count = len(dataset.train_images)
        split = validation_split(dataset, min(count // EVERY, MOST))
        return split if self.part is None else first(split, self.part)

    def _seen(self, module: nn.Module, used: Dataset, epoch: int) -> dict[str, float]:
        target = self.defended(module, torch.Generator().manual_seed(epoch)).target
        images, labels = torch.from_numpy(used.test_images), torch.from_numpy(used.test_labels)
        few, goal = images[:ATTACKED], Goal(labels[:ATTACKED])
        ball, generator = Ball("linf", self.radius), torch.Generator()
        moved = ascend(target, few, goal, ball, steps=1, generator=generator, random_start=False)
        with torch.no_grad():
            answers, disturbed = (target.logits(x).argmax(1) for x in (images, moved))
        draw_from(module, None)  # the training's own draws go on
        return {
            VALIDATION: int((answers == labels).sum()),
            DISTURBED: int((disturbed == goal.labels).sum()),
            VARIANCE: variance(module),
        }
