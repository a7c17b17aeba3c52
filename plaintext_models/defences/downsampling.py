"""C9, downsampling in front of a network: an image is made smaller, and as large as it was.

Guo et al., "Countering adversarial images using input transformations" (arXiv:1711.00117), rescale images likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

SHARE = 0.75  # of the side; the better of the report's two on clean images


@dataclass(frozen=True)
class Downsampling:
    """Cubic interpolation there, with a wider kernel that means over what becomes one pixel, and back.

    Attributes:
        share: The side of the small image, as a share of the side; above 0 to 1.

    Raises:
        ValueError: `share` is out of range.
    """

    share: float

    def __post_init__(self) -> None:
        number(self.share, "share", above=0, most=1)

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape; elements may leave [0, 1]."""
        height, width = images.shape[2:]
        small = max(1, round(self.share * height)), max(1, round(self.share * width))
        return _scaled(_scaled(images, small), (height, width))

    def wrap(self, target: Target) -> Target:
        """The network behind it."""
        return in_front(target, self)


def _scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(images, size, mode="bicubic", antialias=True)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Downsampling in front of the network of the recipe, which was trained without it."""
    bare = Target(make(recipe, dataset))
    return Defended(Downsampling(SHARE).wrap(bare), bare)
