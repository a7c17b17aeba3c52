"""A3, training that anticipates images turned towards the gradient.

Goodfellow et al., arXiv:1412.6572, section 4: what can be differentiated lets training see how the adversary reacts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.training.turned import anticipating
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

ANGLE = 0.3  # radians; ours


@dataclass(frozen=True)
class TurnedTraining:
    """Training against images turned by an angle.

    Attributes:
        angle: Radians, from 0 to pi / 2.
        clean: The weight of the clean images' loss, from 0 to 1.
    """

    angle: float = ANGLE
    clean: float = 0.5

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so."""
        return make(
            recipe, dataset, report=report, loss=lambda module: anticipating(module, self.angle, clean=self.clean)
        )


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001
    """Training against a turn of `ANGLE`."""
    return Defended(Target(TurnedTraining().train(recipe, dataset)))
