"""Multi-layer perceptrons: with float activations, and with one table."""

import math
from collections.abc import Sequence

from torch import nn

from intnn.layers.nodes import Shape
from intnn.values.domain import IntDomain
from plaintext_models.nets.layers import activation as activation_layer
from plaintext_models.training.qat.bounded import LOGITS, BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork


def mlp(
    input_shape: Shape, classes: int, hidden: Sequence[int], activation: str = "relu", input_bits: int | None = None
) -> nn.Sequential:
    """Flatten, then linear layers with an activation between each two.

    Args:
        input_shape: The shape of one input.
        classes: Number of outputs.
        hidden: The width of every hidden layer; empty for a linear classifier.
        activation: "relu", "tanh", "sigmoid" or "square".
        input_bits: Bits to which inputs in [0, 1] are rounded first; the network then reads the integers. None rounds
            nothing.
    """
    layers: list[nn.Module] = [] if input_bits is None else [InputQuantiser(input_bits)]
    layers.append(nn.Flatten())
    width = math.prod(input_shape)
    for units in hidden:
        layers += [nn.Linear(width, units), activation_layer(activation)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))


def table_mlp(
    input_shape: Shape, classes: int, *, hidden: int, points: int, input_bits: int, levels: int = 16, even: bool = False
) -> TableNetwork:
    """Flatten, linear, table, linear: all integers, one table for all hidden units.

    Args:
        input_shape: The shape of one input.
        classes: Number of outputs.
        hidden: Number of hidden units.
        points: Size of the table's domain, odd: the integers around zero that a hidden sum may be.
        input_bits: Bits per input element.
        levels: Number of values that the table may take.
        even: Whether the table reads the magnitude of a sum; see `TableActivation`.
    """
    quantiser, sums = InputQuantiser(input_bits), IntDomain.symmetric(points)
    return TableNetwork(
        input_shape,
        quantiser,
        [
            nn.Flatten(),
            BoundedLinear(math.prod(input_shape), hidden, quantiser.domain.hi, sums),
            TableActivation(sums, levels, even),
            BoundedLinear(hidden, classes, levels - 1, LOGITS),
        ],
    )
