"""Balls of perturbations that leave some elements of an image alone, such as all but its background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from plaintext_models.attacks.core.ball import Ball, Measure
from plaintext_models.attacks.core.tensors import tensor


class MaskedBall(Ball):
    """All perturbations of the free elements that are no longer than a radius; the other elements stay as they are.

    Every attack within a ball stays within this one as well, and the referee looks at it.

    Attributes:
        free: [batch, *shape], bool, which elements may change.

    Raises:
        TypeError: Where `Ball` raises it; or `free` are not bools.
        ValueError: Where `Ball` raises it.
    """

    free: Tensor

    def __init__(self, norm: Measure, radius: float | Sequence[float] | NDArray[Any] | Tensor, free: Any) -> None:
        """Make a ball."""
        super().__init__(norm, radius)
        mask = tensor(free, "free")
        if mask.dtype != torch.bool:
            raise TypeError(f"`free` must be bools, got {mask.dtype}")
        object.__setattr__(self, "free", mask)

    __eq__, __hash__ = object.__eq__, object.__hash__

    def radii(self, images: Tensor) -> Tensor:
        """See `Ball`; a ValueError if the mask is not of these images."""
        if self.free.shape != images.shape:
            raise ValueError(f"`free` must be {tuple(images.shape)}, as the images, got {tuple(self.free.shape)}")
        return super().radii(images)

    def only(self, values: Tensor, rest: Tensor | float) -> Tensor:
        """Values [batch, *shape] of the free elements, and the rest of the others."""
        return torch.where(self.free.to(values.device), values, rest)

    def require_one_radius(self) -> float:
        """Raise ValueError: where one radius for all images is needed, one mask is, too."""
        raise ValueError("`ball` must be the same for all images here, got one with a mask")

    def at_most(self, length: float) -> Ball:
        """The ball with no radius above a length."""
        return MaskedBall(self.norm, super().at_most(length).radius, self.free)

    def __getitem__(self, rows: Tensor) -> Ball:
        """The ball of some of the images."""
        return MaskedBall(self.norm, super().__getitem__(rows).radius, self.free[rows.to(self.free.device)])


def background(images: Tensor, low: float = 0.0) -> Tensor:
    """Where all channels of a pixel are at the lower bound: [batch, channels, ...] as bools of the same shape."""
    return (images <= low).all(1, keepdim=True).expand_as(images)
