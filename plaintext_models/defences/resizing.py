"""T32, random resizing and padding: every image is made smaller and put somewhere on an empty one, both at random.

Xie et al., "Mitigating adversarial effects through randomization" (arXiv:1711.01991). The paper enlarges the image and
its network's input with it; networks here take one size, so that the image becomes smaller and the padding fills up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.windows import seen_through
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

LEAST = 0.9  # of the side: 299 of at most 331 pixels, the paper's


class Resizing:
    """A random size and a random place for every image of every forward, interpolated bilinearly; zeros around it.

    Args:
        least: The smallest size, as a share of the side, above 0 to 1.
        generator: Draws sizes and places.
    """

    def __init__(self, least: float, generator: torch.Generator) -> None:
        self._least, self._generator = number(least, "least", above=0, most=1), generator

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape."""
        draws = torch.rand(3, len(images), generator=self._generator, device=images.device).to(images)
        size = self._least + (1 - self._least) * draws[0]
        x, y = (2 * draws[1:] - 1) * (1 - size) / size
        return seen_through(images, 1 / size, x, y)

    def wrap(self, target: Target) -> Target:
        """The network behind it, stochastic."""
        return in_front(target, self, stochastic=True)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """The network of the recipe, which was trained without it, as in the paper."""
    bare = Target(make(recipe, dataset))
    return Defended(Resizing(LEAST, generator).wrap(bare), bare, randomness_off=bare)
