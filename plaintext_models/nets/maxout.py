"""Maxout networks (Goodfellow et al., arXiv:1302.4389): units that are the largest of several linear maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from intnn.layers.nodes import Shape
from intnn.values.arrays import integer


class Maxout(nn.Module):
    """Every unit the maximum of several linear maps of all inputs.

    Args:
        incoming: How many inputs there are.
        units: How many units, from 1.
        pieces: Of how many maps each is the maximum, from 1.
    """

    def __init__(self, incoming: int, units: int, pieces: int) -> None:
        super().__init__()
        self.pieces = integer(pieces, "pieces", 1)
        self.maps = nn.Linear(incoming, integer(units, "units", 1) * pieces)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, incoming] -> [batch, units]."""
        return self.maps(inputs).unflatten(1, (-1, self.pieces)).amax(2)


def maxout(
    input_shape: Shape,
    classes: int,
    *,
    hidden: Sequence[int] = (240, 240),
    pieces: int = 5,
    visible: float = 0.2,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Flatten, layers of maxout units with dropout before each, and a linear map.

    Sizes and dropout are those that the paper's own code takes for MNIST.

    Args:
        input_shape: The shape of one input.
        classes: Number of outputs.
        hidden: The units of every layer.
        pieces: Of how many linear maps each unit is the maximum.
        visible: The probability with which inputs are dropped in training.
        dropout: That of hidden units.
    """
    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(visible)]
    width = math.prod(input_shape)
    for units in hidden:
        layers += [Maxout(width, units, pieces), nn.Dropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))
