"""Targets that are made of another target: with something in front of it, behind it, or beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from plaintext_models.attacks.core.target import Target

Front = nn.Module | Callable[[Tensor], Tensor]  # maps images [batch, *shape] in [0, 1] to images of the same shape


def derived(target: Target, model: Callable[[Tensor], Tensor], *, stochastic: bool = False) -> Target:
    """A target with another model and the bounds, levels and gradients of a given one.

    Args:
        target: The target that `model` asks.
        model: Maps images [batch, *shape] to logits. What it is made of is seen if it is a `functools.partial` that
            holds `target`; see `modules_of`.
        stochastic: Whether `model` draws at random; the result is stochastic where this or the target is.
    """
    return Target(
        model,
        bounds=target.bounds,
        levels=target.levels,
        stochastic=target.stochastic or stochastic,
        differentiable=target.differentiable,
    )


def widened(target: Target, bounds: tuple[float | Sequence[float], float | Sequence[float]]) -> Target:
    """The same model with wider bounds and without levels: what it makes of images that nobody clipped.

    Args:
        target: Whose model it is; the model must give numbers beyond its own bounds, too.
        bounds: See `Target`.
    """
    return Target(
        partial(_asked, target),
        bounds=bounds,
        stochastic=target.stochastic,
        differentiable=target.differentiable,
    )


def _asked(target: Target, images: Tensor) -> Tensor:
    return target.logits(images)


def in_front(target: Target, front: Front, *, stochastic: bool = False) -> Target:
    """A target whose images go through `front` first, which is given them in [0, 1], whatever the target's bounds."""
    return derived(target, partial(_through, target, front), stochastic=stochastic)


def _through(target: Target, front: Front, images: Tensor) -> Tensor:
    low, high = target.limits(images)
    width = high - low
    return target.logits(low + width * front((images - low) / width))
