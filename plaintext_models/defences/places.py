"""A9, adversarial training at a hidden layer: what enters it is moved, and not the image.

Goodfellow et al., arXiv:1412.6572, section 6: the input does better, and the last hidden layer never helped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII
from plaintext_models.defences.defence import Defended
from plaintext_models.training.loop import LossHook
from plaintext_models.training.places import perturbed
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe


@dataclass(frozen=True)
class HiddenTraining:
    """Training against one step from what enters a dense layer.

    Attributes:
        layer: Which of them, from 0; negative numbers count from the last, which is -1.
        radius: How far every input of the layer is moved.
        clean: The weight of the clean images' loss, from 0 to 1.
    """

    layer: int
    radius: float
    clean: float = 0.5

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, a chain of layers, trained so."""
        return make(recipe, dataset, report=report, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """The loss of a chain.

        Raises:
            TypeError: It is no chain.
        """
        if not isinstance(module, nn.Sequential):
            raise TypeError(f"hidden layers are moved in a chain of layers, got {type(module).__name__}")
        dense = [
            place for place, layer in enumerate(module) if any(isinstance(part, nn.Linear) for part in layer.modules())
        ]
        return perturbed(module, dense[self.layer], self.radius, clean=self.clean)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001
    """Training at the second dense layer, by the radius that suits images of the data set."""
    return Defended(Target(HiddenTraining(1, RADII[dataset.name]).train(recipe, dataset)))
