"""A13, an ensemble: the mean of several networks' probabilities, trained alike from other initial weights.

Goodfellow et al., arXiv:1412.6572, section 9: what fools one member fools the others, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from intnn.values.arrays import integer
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.nets.ensemble import Ensemble
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

MEMBERS = 12  # the paper's
APART = 1000  # between the seeds of two members


@dataclass(frozen=True)
class EnsembleTraining:
    """Several trainings.

    Attributes:
        members: How many, from 1.

    Raises:
        ValueError: There are none.
    """

    members: int = MEMBERS

    def __post_init__(self) -> None:
        integer(self.members, "members", 1)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> Ensemble:
        """Networks of a recipe; the first has the recipe's seed, every further one a seed 1000 higher."""
        seeds = range(recipe.seed, recipe.seed + APART * self.members, APART)
        return Ensemble([make(replace(recipe, seed=seed), dataset, report=report) for seed in seeds]).eval()


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001
    """An ensemble, of which whoever knows no better sees one member."""
    ensemble = EnsembleTraining().train(recipe, dataset)
    return Defended(Target(ensemble), bare=Target(ensemble.members[0]))
