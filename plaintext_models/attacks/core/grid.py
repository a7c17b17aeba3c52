"""Images of few levels, such as those of 8 bits: equally spaced values of every element, from bound to bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

#: The least and the greatest values of elements: two numbers, or two tensors that spread over images.
Limits = tuple[Any, Any]

OFF = 1e-2  # of a level: what is nearer is a level, up to the rounding of float32, which is 4e-3 of one in 65,536
ROUNDING = 2.0**-22  # of the range: what float32 makes of a sum of two levels


def off_grid(images: Tensor, limits: Limits, levels: int) -> Tensor:
    """Which images [batch] have an element that is none of so many levels between the limits."""
    places = _places(images, limits, levels)
    return ((places - places.round()).abs() > OFF).flatten(1).any(1)


def nearest_levels(images: Tensor, limits: Limits, levels: int | None) -> Tensor:
    """Images with every element at the nearest of so many levels; as they are where levels are None."""
    if levels is None:
        return images
    low, high = limits
    places = _places(images, limits, levels).round()
    return (low + places * (high - low) / (levels - 1)).to(images.dtype).clamp(low, high)


def roundings(images: Tensor, moved: Tensor, limits: Limits, levels: int) -> Iterator[Tensor]:
    """Images on the grid near to `moved`: towards the clean images, then the nearest, then away from them.

    The first moves no element farther than `moved` does: it lies in every ball around the clean image that `moved`
    lies in.

    Args:
        images: Clean images [batch, *shape], on the grid.
        moved: [batch, *shape], between the limits.
        limits: See `Target.limits`.
        levels: How many levels there are, from 2.
    """
    low, high = limits
    start = _places(images, limits, levels).round()
    step = _places(moved, limits, levels) - start
    size, sign, slack = step.abs(), step.sign(), ROUNDING * (levels - 1)
    for whole in ((size + slack).floor(), (size + 0.5).floor(), (size - slack).ceil()):
        places = (start + sign * whole).clamp(0, levels - 1)
        rounded = (low + places * (high - low) / (levels - 1)).to(images.dtype).clamp(low, high)
        yield torch.where(places == start, images, rounded)  # to the last bit, for who counts what has moved


def _places(images: Tensor, limits: Limits, levels: int) -> Tensor:
    """How many levels above the lowest every element is, float64."""
    low, high = limits
    return (images.double() - low) / (high - low) * (levels - 1)
