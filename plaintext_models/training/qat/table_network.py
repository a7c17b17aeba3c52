"""A trainable network whose forward pass is an integer network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intnn.layers.nodes import Shape
from plaintext_models.training.qat.bounded import BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser


class TableNetwork(nn.Module):
    """Quantiser, then layers on integers; the last one gives the logits.

    Args:
        input_shape: The shape of one input.
        quantiser: Turns inputs in [0, 1] into integers.
        layers: `BoundedLinear`, `BoundedConv2d`, `TableActivation`, ``nn.Flatten``; the last a `BoundedLinear`.
    """

    def __init__(self, input_shape: Shape, quantiser: InputQuantiser, layers: Sequence[nn.Module]):
        super().__init__()
        last = layers[-1]
        if not isinstance(last, BoundedLinear):
            raise TypeError(f"`layers` must end in a BoundedLinear, got {type(last).__name__}")
        self.input_shape, self.quantiser, self.layers = tuple(input_shape), quantiser, nn.Sequential(*layers)
        # The loss wants logits near one, the integers are in the thousands; the arg max does not care.
        self.log_temperature = nn.Parameter(torch.tensor(-math.log(last.unit * last.input_max)))

    def integers(self, images: Tensor) -> Tensor:
        """Images [batch, *input_shape] in [0, 1] -> integer logits [batch, classes] as floats."""
        return self.layers(self.quantiser(images))

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, *input_shape] in [0, 1] -> logits for a softmax [batch, classes]."""
        return self.integers(images) * self.log_temperature.exp()
