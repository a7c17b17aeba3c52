"""M5, adaptive dropout: units of convolutions are kept with a probability that their own input decides.

Ba and Frey, "Adaptive dropout for training deep neural networks" (NIPS 2013); drawn in training and afterwards, or
multiplied by the probability, M5-mean.
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.zoo.recipe import Recipe


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "adaptive") -> Defended:
    """Dropout, "adaptive" or "adaptive mean"; the units of the dense layer are binarised."""
    activation = "adaptive mean" if form == "mean" else "adaptive"
    return defended(Masked({"activation": activation}).train(recipe, dataset), generator)
