"""Shallow networks of radial basis functions, which are sure of nothing far from what they know."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.layers.nodes import Shape
from intnn.values.arrays import integer

FLOOR = 1e-6  # of a probability, whose logarithm must be finite


class Rbf(nn.Module):
    """For each class the likelihood exp((x - mu)^T beta (x - mu)), beta negative semidefinite.

    Goodfellow et al., arXiv:1412.6572, section 7. Beta is -diag(s^2) - V^T V, a diagonal and a low rank, both learnt.
    Every class has a probability of its own, and they need not sum to 1: the outputs are log-odds.

    Args:
        input_shape: The shape of one input.
        classes: Number of outputs.
        rank: The rank of what beta has beside its diagonal, from 0.
        width: The distance at which the likelihood has fallen to 1 / e, in units of an image's elements, positive.
    """

    def __init__(self, input_shape: Shape, classes: int, *, rank: int = 0, width: float = 7.0) -> None:
        super().__init__()
        size = math.prod(input_shape)
        self.centres = nn.Parameter(0.5 + 0.1 * torch.randn(classes, size))
        self.scales = nn.Parameter(torch.full((classes, size), 1 / width))
        self.ways = nn.Parameter(torch.randn(classes, integer(rank, "rank", 0), size) / (width * math.sqrt(size)))

    def exponents(self, images: Tensor) -> Tensor:
        """(x - mu)^T beta (x - mu), never positive: [batch, *input_shape] -> [batch, classes]."""
        offsets = images.flatten(1)[:, None] - self.centres
        along = torch.einsum("bcn,crn->bcr", offsets, self.ways)
        return -(offsets * self.scales).square().sum(2) - along.square().sum(2)

    def forward(self, images: Tensor) -> Tensor:
        """Log-odds of the classes' probabilities: [batch, *input_shape] -> [batch, classes]."""
        exponents = self.exponents(images)
        return exponents - torch.log(-torch.expm1(exponents.clamp_max(-FLOOR)))


def likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over images of the summed cross-entropies of every class's probability by itself, nats.

    Args:
        logits: Log-odds, [batch, classes].
        labels: [batch].
    """
    wanted = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1).mean()
