"""stretching, a stretched contrast in front of a network that is trained against attacks.

Within an Linf ball of radius r an adversary moves the grey pixels of a written digit alone, if the network takes what
is below r for black and what is above 1 - r for white. Madry et al. (arXiv:1706.06083, appendix C) found that networks
which are trained against attacks on MNIST learn to cut values off so; here they need not learn it. Nothing is hidden:
a perturbation that ends beyond the range has no effect. But the exact gradient of a black pixel does not say what lies
within the range, so attacks, those of the training among them, go straight through.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII, pgd
from plaintext_models.defences.defence import Defended
from plaintext_models.nets.builders import FLOAT
from plaintext_models.nets.layers import Stretch
from plaintext_models.stochastic.modes import in_mode
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe


def stretched(module: nn.Module) -> Defended:
    """A network as it is attacked: straight through its `Stretch`, and by exact gradients too, if it has one."""
    if not any(isinstance(part, Stretch) for part in module.modules()):
        return Defended(Target(module))
    return Defended(Target(module), surrogates=(Target(partial(in_mode, module, "gradient", "exact")),))


def behind(recipe: Recipe, radius: float) -> Recipe:
    """The recipe of the same network behind a contrast that is stretched so much that `radius` moves grey pixels alone.

    Args:
        recipe: Of a float architecture; a hardening that it lacks becomes that of `adversarial.pgd`.
        radius: Linf, above 0 to below 0.5.

    Raises:
        ValueError: The architecture is another, as one that is behind a stretched contrast already.
    """
    if recipe.network not in FLOAT:
        raise ValueError(f"a contrast is stretched in front of {', '.join(FLOAT)}, got {recipe.network}")
    options = {**recipe.options, "stretch": (radius, 1 - radius)}
    hardening = recipe.hardening or pgd(radius).hardening
    return replace(recipe, network=f"stretched_{recipe.network}", options=options, hardening=hardening)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """The network of the recipe behind a stretched contrast, trained against attacks within a customary radius."""
    return stretched(make(behind(recipe, RADII[dataset.name]), dataset))
