"""Training on noise: the control of whoever says that adversarial training is no more than that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from plaintext_models.attacks.core.numbers import number
from plaintext_models.training.loop import Batch, BatchHook

#: What is made of numbers from 0 to 1: noise from -1 to 1 without a direction.
SHAPES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"signs": lambda uniform: torch.where(uniform < 0.5, -1.0, 1.0), "uniform": lambda uniform: 2 * uniform - 1}
)


def noisy(shape: str, radius: float) -> BatchHook:
    """The hook that adds noise of mean 0 to every image of a batch (Goodfellow et al., arXiv:1412.6572, section 6).

    Images are not clipped after it.

    Args:
        shape: "signs" moves every element by the radius, up or down; "uniform" by any number between.
        radius: How far in the maximum norm, not negative.

    Raises:
        ValueError: The shape is unknown, or the radius out of range.
    """
    if shape not in SHAPES:
        raise ValueError(f"`shape` must be one of {', '.join(SHAPES)}, got {shape!r}")
    number(radius, "radius", least=0)

    def moved(batch: Batch) -> Tensor:
        uniform = torch.rand(batch.images.shape, generator=batch.generator)
        return batch.images + radius * SHAPES[shape](uniform)

    return moved
