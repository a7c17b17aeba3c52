"""M11, stochastic activation pruning: of a trained network's maps a random part is kept, large values more often.

Dhillon et al., arXiv:1803.01442. The network is the one with binarised units of M7; it is trained without pruning.
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.stochastic.modes import set_share
from plaintext_models.zoo.recipe import Recipe

SHARE = 1.0  # as many draws as there are activations


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """The network, pruned when it answers."""
    module = Masked({"pruning": 0.0}).train(recipe, dataset)
    set_share(module, SHARE)
    return defended(module, generator, surrogates=False)
