"""M44, random masks: of every convolution's filters, weights are kept at random, for every image by itself.

Controls of learnt masks. M44-dropconnect divides by the probability what is kept: Wan et al., "Regularization of neural
networks using DropConnect" (ICML 2013), here in answers, too.
"""

from __future__ import annotations

import torch

from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.zoo.recipe import Recipe


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "random") -> Defended:
    """Masks, "random" or "dropconnect"; the units of the dense layer are binarised."""
    return defended(Masked({"masks": form}).train(recipe, dataset), generator, surrogates=False)
