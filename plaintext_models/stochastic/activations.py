"""Activations of which some are dropped, by what they are: stochastic pruning and adaptive dropout."""

from __future__ import annotations

import torch
from torch import Tensor

from plaintext_models.attacks.core.numbers import number
from plaintext_models.stochastic.draws import Drawing


class Pruning(Drawing):
    """Stochastic activation pruning (Dhillon et al., arXiv:1803.01442); without a draw, nothing is pruned.

    Of an image's n activations h, `share` * n are drawn with replacement, each with probability p = |h| / sum |h|. What
    was drawn is divided by the probability 1 - (1 - p)^draws that it was, so that the mean is h; the rest is 0. What is
    drawn, and by what it is divided, are constants for gradients.

    Attributes:
        share: How many are drawn, positive, in units of their number; 0 to prune nothing, as while a network is trained
            that is pruned afterwards.
    """

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.share = number(share, "share", least=0)

    def forward(self, h: Tensor) -> Tensor:
        """[batch, ...] -> the same shape."""
        if self.still or not self.share:
            return h
        sizes = h.detach().flatten(1).abs()
        draws = max(1, round(self.share * sizes.shape[1]))
        # where nothing is active it does not matter what is drawn
        p = sizes / sizes.sum(1, keepdim=True).clamp_min(torch.finfo(h.dtype).tiny)
        weights = torch.where(sizes.any(1, keepdim=True), p, 1.0)
        drawn = torch.multinomial(weights, draws, replacement=True, generator=self.generator)
        kept = torch.zeros_like(p).scatter_(1, drawn, 1.0)
        probability = -torch.expm1(draws * torch.log1p(-p))
        return h * (kept / probability.clamp_min(torch.finfo(h.dtype).tiny)).reshape(h.shape)


class AdaptiveDropout(Drawing):
    """ReLU units that are kept with probability sigmoid(a), a their own pre-activation.

    Ba and Frey, "Adaptive dropout for training deep neural networks" (NIPS 2013), the belief network's weights being
    the network's own; without a draw, units are multiplied by the probability.

    Attributes:
        random: Whether it draws; otherwise it multiplies with every forward.
        gradient: Whether gradients see how what is kept depends on a, "soft", or take a draw for a constant, "none".
    """

    def __init__(self, *, random: bool = True) -> None:
        super().__init__()
        self.random, self.gradient = random, "none"

    def forward(self, a: Tensor) -> Tensor:
        """Pre-activations of any shape to units of that shape."""
        keep = torch.sigmoid(a)
        if self.random and not self.still:
            drawn = (self.uniform(a) < keep).to(a.dtype)
            keep = drawn + (keep - keep.detach()) if self.gradient == "soft" else drawn
        return torch.relu(a) * keep
