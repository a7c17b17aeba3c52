"""An autoencoder of one hidden layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intnn.layers.nodes import Shape


class Autoencoder(nn.Module):
    """Images in [0, 1] through a narrow layer and back, sigmoids behind both linear maps.

    Args:
        input_shape: The shape of one image.
        hidden: The width of the narrow layer, from 1.
    """

    def __init__(self, input_shape: Shape, hidden: int) -> None:
        super().__init__()
        width = math.prod(input_shape)
        self.encoder, self.decoder = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def code(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> [batch, hidden], from 0 to 1."""
        return torch.sigmoid(self.encoder(images.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> the same shape, from 0 to 1."""
        return torch.sigmoid(self.decoder(self.code(images))).reshape(images.shape)

    def contraction(self, images: Tensor) -> Tensor:
        """The squared Frobenius norm of the Jacobian of every image's code, [batch] (Rifai et al., 2011, eq. 3)."""
        code = self.code(images)
        return (code * (1 - code)).square() @ self.encoder.weight.square().sum(1)
