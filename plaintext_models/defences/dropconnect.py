"""S10, DropConnect: with every forward a random part of a network's weights is 0.

Wan et al., "Regularization of neural networks using DropConnect" (ICML 2013). There, answers are of the weights' means;
here, as in the report on the stochastic delta rule, they are drawn, too.
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.random_weights import RandomWeights
from plaintext_models.stochastic.draws import drawing, twin
from plaintext_models.zoo.recipe import Recipe

DROP = 0.2  # the report's


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """Training and answers with weights that are dropped."""
    module = RandomWeights({"kind": "dropconnect", "drop": DROP}).train(recipe, dataset)
    return Defended(drawing(module, generator), randomness_off=twin(module))
