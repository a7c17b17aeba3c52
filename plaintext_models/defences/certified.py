"""certified, training for proofs: no input of a ball may change the label, and intervals can tell.

Interval bound propagation, Gowal et al., "On the effectiveness of interval bound propagation for training verifiably
robust models" (arXiv:1810.12715). What is proved of the network's integers says `intnn.certify`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.proofs.schedule import Schedule
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

RADII = {"digits": 0.1, "mnist": 0.3, "cifar10": 2 / 255}  # Linf; what small networks can learn
CLEAN = 0.1  # the weight of the clean loss in the end; Gowal et al. take 0.5, and prove less


@dataclass(frozen=True)
class IntervalTraining:
    """Training on the worst logits that intervals cannot rule out.

    Attributes:
        schedule: Radius and weights as the training goes on.
    """

    schedule: Schedule

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so; a hardening that the recipe has is left out.

        Raises:
            TypeError: The network is not a chain that intervals go through.
        """
        return make(replace(recipe, hardening=None, proofs=self.schedule), dataset, report=report)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Training for proofs within a radius that suits the data set."""
    training = IntervalTraining(Schedule(RADII[dataset.name], clean=CLEAN))
    return Defended(Target(training.train(recipe, dataset)))
