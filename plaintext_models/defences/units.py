"""M7, binarised units: the units of the dense layer are 0 or 1, drawn with every forward.

Bengio et al., "Estimating or propagating gradients through stochastic neurons" (arXiv:1308.3432): gradients pass the
threshold as that of the sigmoid, whose slope grows in training, or as 1. M7-deterministic rounds, and M7-reinforce has
no gradient at all, but the loss (see `plaintext_models.stochastic.reinforce`).
"""

from __future__ import annotations

import torch

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.zoo.recipe import Recipe


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "soft") -> Defended:
    """Units with a gradient of a kind, "soft", "hard" or "reinforce"; or "deterministic" ones."""
    module = Masked({"units": form}).train(recipe, dataset)
    if form == "deterministic":
        return Defended(Target(module))
    return defended(module, generator, surrogates=form != "soft")
