"""A5, L1 decay of the first layer, which bounds what a step of the gradient's sign can do to it.

Goodfellow et al., arXiv:1412.6572, section 5: it punishes also where nothing can go wrong any more, so that it is
either too strong to train with or too weak to help.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

COEFFICIENT = 0.0025  # the paper's, on the first layer of a maxout network


@dataclass(frozen=True)
class Lasso:
    """Cross-entropy plus a coefficient times the sum of the magnitudes of the first layer's weights, without biases.

    Attributes:
        coefficient: From 0, which leaves the cross-entropy alone.

    Raises:
        ValueError: It is negative or not finite.
    """

    coefficient: float = COEFFICIENT

    def __post_init__(self) -> None:
        number(self.coefficient, "coefficient", least=0)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained with the decay."""
        return make(recipe, dataset, report=report, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """The loss of a module that has a dense or a convolutional layer."""
        first = next(part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d))

        def decayed(logits: Tensor, batch: Batch) -> Tensor:
            return functional.cross_entropy(logits, batch.labels) + self.coefficient * first.weight.abs().sum()

        return decayed


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001
    """Training with the paper's coefficient."""
    return Defended(Target(Lasso().train(recipe, dataset)))
