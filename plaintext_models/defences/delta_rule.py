"""S12, the stochastic delta rule with decay: weights are drawn in training, the more widely the more they still change.

Frazier-Logue and Hanson, "Dropout is a special case of the stochastic delta rule" (arXiv:1808.03578).
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.random_weights import RandomWeights
from plaintext_models.stochastic.draws import twin
from plaintext_models.zoo.recipe import Recipe

GROWTH, DECAY = 0.05, 0.7  # the report's
FRACTION = 0.5  # of Xavier's deviation, where deviations start; the report gives none


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001
    """Training by the rule; the answers are those of the means."""
    weights = {"kind": "delta rule", "growth": GROWTH, "decay": DECAY, "fraction": FRACTION}
    return Defended(twin(RandomWeights(weights).train(recipe, dataset)))
