"""Units that are 0 or 1, and weights that are -1 or 1, with gradients where a threshold has none.

Units: Bengio et al., "Estimating or propagating gradients through stochastic neurons" (arXiv:1308.3432); their slope
grows as in Chung et al. (arXiv:1609.01704). Weights: Courbariaux et al. (arXiv:1602.02830).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from plaintext_models.stochastic.draws import Drawing

Gradient = Literal["hard", "soft", "reinforce"]

STEEPEST = 5.0  # the greatest slope
STEEPER = 0.04  # by how much it grows with an epoch


class Binarised(Drawing):
    """h = 1 with probability p = sigmoid(slope * a), else 0; without a draw, p itself.

    Attributes:
        gradient: What stands for dh/da: "hard", 1 whatever a is; "soft", dp/da; or "reinforce", nothing, because the
            loss is told to the units instead (see `plaintext_models.stochastic.reinforce`).
        random: Whether the threshold is drawn; otherwise it is 1/2 with every forward, drawing or not.
        slope: The slope; it grows while a network is trained if it is `annealed`.
        seen: Of the last forward in training mode, a and h - p; what "reinforce" learns from.

    Args:
        gradient: See above.
        random: See above.
        annealed: Whether the slope grows.

    Raises:
        ValueError: The gradient is none of those.
    """

    slope: Tensor

    def __init__(self, gradient: Gradient = "soft", *, random: bool = True, annealed: bool = False) -> None:
        super().__init__()
        if gradient not in get_args(Gradient):
            raise ValueError(f"`gradient` must be one of {', '.join(get_args(Gradient))}, got {gradient!r}")
        self.gradient, self.random, self.annealed = gradient, random, annealed
        self.seen: tuple[Tensor, Tensor] | None = None
        self.register_buffer("slope", torch.ones(()))

    def anneal(self, epoch: float) -> None:
        """Set the slope to that of an epoch, counted from 0: min(5, 1 + 0.04 epoch)."""
        if self.annealed:
            self.slope.fill_(min(STEEPEST, 1 + STEEPER * epoch))

    def forward(self, a: Tensor) -> Tensor:
        """Pre-activations of any shape to units of that shape."""
        p = torch.sigmoid(self.slope * a)
        if self.still and self.random:
            return p
        h = ((self.uniform(p) if self.random else 0.5) < p).to(p.dtype)
        if self.gradient == "reinforce":
            self.seen = (a, h - p.detach())
            return h
        way = a if self.gradient == "hard" else p
        return h + (way - way.detach())


class PlusMinus(Drawing):
    """r as 1 or -1; its gradient is 1 where |r| <= 1, and 0 elsewhere.

    Args:
        random: Whether it is 1 with probability clip((r + 1) / 2, 0, 1), and clip(r, -1, 1) without a draw; otherwise
            it is 1 where r >= 0.
    """

    def __init__(self, *, random: bool = True) -> None:
        super().__init__()
        self.random = random

    def forward(self, r: Tensor) -> Tensor:
        """Real numbers of any shape to -1 and 1 of that shape."""
        clipped = r.clamp(-1, 1)
        if self.random and self.still:
            return clipped
        positive = 2 * self.uniform(r) - 1 < clipped if self.random else r >= 0
        return 2 * positive.to(r.dtype) - 1 + (clipped - clipped.detach())


def anneal(module: nn.Module, epoch: float) -> None:
    """Set the slopes of all units of a module to those of an epoch; see `Binarised.anneal`."""
    for part in module.modules():
        if isinstance(part, Binarised):
            part.anneal(epoch)
