"""S14, the stochastic delta rule with deviations that are learnt by gradients of their own.

By the reparameterisation of Kingma and Welling, "Auto-encoding variational Bayes" (arXiv:1312.6114, section 2.4).
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.random_weights import RandomWeights
from plaintext_models.stochastic.draws import drawing, twin
from plaintext_models.zoo.recipe import Recipe

FRACTION = 0.5  # of Xavier's deviation, where deviations start; the report gives none


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """Training and answers with weights that are drawn."""
    module = RandomWeights({"kind": "normal", "fraction": FRACTION}).train(recipe, dataset)
    return Defended(drawing(module, generator), randomness_off=twin(module))
