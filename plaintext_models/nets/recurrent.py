"""Recurrent networks that read an image as a sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from intnn.layers.nodes import Shape
from intnn.values.arrays import integer


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) over an image, and a linear map of its last state.

    (i, f, o, g) = (sigma, sigma, sigma, tanh) of a linear map of state and input, c = f c + i g, h = o tanh(c). Weights
    that are drawn at random are drawn once a sequence.

    Args:
        input_shape: The shape of one input.
        classes: Number of outputs.
        hidden: The width of the state, from 1.
        steps: Into how many equal parts, in the order of its elements, the image is cut: as many as it has rows for a
            row at a time, or elements for an element at a time.

    Raises:
        ValueError: The image cannot be cut so.
    """

    def __init__(self, input_shape: Shape, classes: int, *, hidden: int, steps: int) -> None:
        super().__init__()
        size = math.prod(input_shape)
        if size % integer(steps, "steps", 1, size):
            raise ValueError(f"`steps` must divide the {size} elements of an image, got {steps}")
        self.steps, self.hidden = steps, integer(hidden, "hidden", 1)
        self.incoming = nn.Linear(size // steps, 4 * hidden)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)
        self.answer = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *input_shape] -> [batch, classes]."""
        state = cell = images.new_zeros(len(images), self.hidden)
        with parametrize.cached():
            for part in self.incoming(images.reshape(len(images), self.steps, -1)).unbind(1):
                gates, new = (part + self.recurrent(state)).split([3 * self.hidden, self.hidden], 1)
                enter, forget, leave = torch.sigmoid(gates).chunk(3, 1)
                cell = forget * cell + enter * torch.tanh(new)
                state = leave * torch.tanh(cell)
            logits: Tensor = self.answer(state)
        return logits
