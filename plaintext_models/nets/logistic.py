"""Logistic regression on two classes, and its loss in the worst case in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.layers.nodes import Shape


class Logistic(nn.Module):
    """P(y = 1) = sigma(w^T x + b): its logits are half the activation for class 1, and its negative for class 0.

    Args:
        input_shape: The shape of one input.
        classes: Number of classes, 2.

    Raises:
        ValueError: There are more or fewer classes.
    """

    def __init__(self, input_shape: Shape, classes: int = 2) -> None:
        super().__init__()
        if classes != 2:
            raise ValueError(f"`classes` must be 2, got {classes}; use an mlp without hidden layers for more")
        self.map = nn.Linear(math.prod(input_shape), 1)

    def activation(self, images: Tensor) -> Tensor:
        """w^T x + b: [batch, *input_shape] -> [batch]."""
        return self.map(images.flatten(1)).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *input_shape] -> [batch, 2]."""
        half = self.activation(images) / 2
        return torch.stack([-half, half], 1)

    def worst_case(self, images: Tensor, labels: Tensor, radius: float) -> Tensor:
        """The greatest loss within an Linf ball that no bound cuts, zeta(eps ||w||_1 - y(w^T x + b)), for y of -1 or 1.

        Goodfellow et al., arXiv:1412.6572, section 5, where it is printed for y = 1.

        Args:
            images: [batch, *input_shape].
            labels: [batch], 0 or 1.
            radius: The radius of the ball, not negative.

        Returns:
            Nats, [batch].
        """
        sign = 2.0 * labels - 1
        return functional.softplus(radius * self.map.weight.abs().sum() - sign * self.activation(images))
