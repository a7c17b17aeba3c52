"""Rounding that gradients pass."""

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None


def straight_through(smooth: Tensor, exact: Tensor) -> Tensor:
    """The values of ``exact``, bit for bit, with the gradient of ``smooth``.

    The common ``smooth + (exact - smooth).detach()`` does not qualify: its sum may round to another value.
    """
    return _StraightThrough.apply(smooth, exact)


def round_half_up(x: Tensor) -> Tensor:
    """floor(x + 1/2), exactly, as `intnn.values.rounding.round_half_up`; its gradient is that of x."""
    floor = x.detach().floor()
    return straight_through(x, floor + (x.detach() - floor >= 0.5))
