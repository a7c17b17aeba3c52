"""M10, binary weights: those of all convolutions but the first, and of the dense layer, are -1 or 1.

Courbariaux et al., "Binarized neural networks" (arXiv:1602.02830). M10-pgd learns from attacks in the last fifth of its
training, as Galloway et al. (arXiv:1711.00449); M10-stochastic draws those of convolutions.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked
from plaintext_models.stochastic.draws import drawing, twin
from plaintext_models.zoo.recipe import Hardening, Recipe

STEPS = 40  # of the attacks in training


def late(radius: float, steps: int = STEPS, *, begin: float = 0.8, ramp: float = 0.0) -> Hardening:
    """Attacks in the last part of a training, for half of the loss, from the image.

    Args:
        radius: Of the Linf ball.
        steps: How many steps each takes, from 1.
        begin: The part of the training that has none, from 0 to 1.
        ramp: The part in which the radius grows, from 0 to 1.
    """
    return Hardening(Ball("linf", radius), steps, ramp=ramp, clean=0.5, random_start=False, begin=begin)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "plain") -> Defended:
    """Binary weights, "plain", "pgd" or "stochastic"."""
    hardening = late(RADII[recipe.dataset]) if form == "pgd" else recipe.hardening
    masks = "drawn binary" if form == "stochastic" else "binary"
    options = {"masks": masks, "begin": 1, "units": "relu"}
    module = Masked(options).train(replace(recipe, hardening=hardening), dataset)
    if form == "stochastic":
        return Defended(drawing(module, generator), randomness_off=twin(module))
    return Defended(Target(module))
