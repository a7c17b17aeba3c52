"""C9, additive noise in front of a network: uniform on every element, drawn with every forward.

Gu and Rigazio (arXiv:1412.5068, section 3) add noise to images in the same way, to drown what an attacker added.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

MAGNITUDE = 0.2  # ours: the report names none


@dataclass(frozen=True, eq=False)
class Additive:
    """Noise on images; elements may leave [0, 1].

    Attributes:
        magnitude: How far an element is moved at most, from 0.
        generator: Draws it.

    Raises:
        ValueError: `magnitude` is negative or not finite.
    """

    magnitude: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        number(self.magnitude, "magnitude", least=0)

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> the same shape."""
        drawn = torch.rand(images.shape, generator=self.generator, dtype=images.dtype, device=images.device)
        return images + self.magnitude * (2 * drawn - 1)

    def wrap(self, target: Target) -> Target:
        """The network behind it, stochastic."""
        return in_front(target, self, stochastic=True)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """The network of the recipe, which was trained without noise."""
    bare = Target(make(recipe, dataset))
    return Defended(Additive(MAGNITUDE, generator).wrap(bare), bare, randomness_off=bare)
