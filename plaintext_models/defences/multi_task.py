"""C10, multi-task training: the features that classes are told by must also serve to draw the image.

Caruana, "Multitask learning" (Machine Learning 28, 1997). All layers but the last are shared by both tasks (C5); the
report names no auxiliary task. Ours is drawn by a linear layer, behind a sigmoid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.training.loop import Batch, LossHook, cross_entropy
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

WEIGHT = 1.0  # of the auxiliary task


class First(nn.Module):
    """The first of the outputs.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, outputs: Tensor) -> Tensor:
        """[batch, outputs] -> [batch, count]."""
        return outputs[:, : self.count]


@dataclass(frozen=True)
class MultiTask:
    """Training of a network with an output for every class and one for every element of its image.

    Attributes:
        weight: Of the auxiliary task, whose loss is the binary cross-entropy of an element, nats; from 0.

    Raises:
        ValueError: `weight` is negative or not finite.
    """

    weight: float

    def __post_init__(self) -> None:
        number(self.weight, "weight", least=0)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so; of its outputs, those of classes are left.

        Raises:
            ValueError: The recipe attacks its images, by a loss of classes alone.
        """
        if recipe.hardening is not None or recipe.proofs is not None:
            raise ValueError("`recipe` must be one of plain training for two tasks, got one with hardening or proofs")
        wide = replace(dataset, classes=dataset.classes + math.prod(dataset.input_shape))
        module = make(recipe, wide, report=report, loss=lambda _: self.loss(dataset.classes))
        return nn.Sequential(module, First(dataset.classes)).eval()

    def loss(self, classes: int) -> LossHook:
        """The loss of both tasks, given how many of the outputs are classes."""

        def both(outputs: Tensor, batch: Batch) -> Tensor:
            drawn = nn.functional.binary_cross_entropy_with_logits(outputs[:, classes:], batch.images.flatten(1))
            return cross_entropy(outputs[:, :classes], batch) + self.weight * drawn

        return both


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Both tasks with the same weight."""
    return Defended(Target(MultiTask(WEIGHT).train(recipe, dataset)))
