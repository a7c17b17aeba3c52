"""Autoencoders: of one hidden layer, with weights of their own or tied, and of convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

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


class TiedAutoencoder(nn.Module):
    """The same with the encoder's weights, transposed, as the decoder's.

    Args:
        input_shape: The shape of one image.
        hidden: The width of the narrow layer, from 1.
    """

    def __init__(self, input_shape: Shape, hidden: int) -> None:
        super().__init__()
        width = math.prod(input_shape)
        self.encoder, self.bias = nn.Linear(width, hidden), nn.Parameter(torch.zeros(width))

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> the same shape, from 0 to 1."""
        code = torch.sigmoid(self.encoder(images.flatten(1)))
        found = torch.sigmoid(functional.linear(code, self.encoder.weight.T, self.bias))
        return found.reshape(images.shape)


class ConvolutionalAutoencoder(nn.Module):
    """Images in [0, 1] through maps of half the side and back, by two convolutions of 3 x 3 each way.

    Args:
        channels: How many channels an image has.
        maps: The maps of the wide convolutions, from 1.
        code: The maps of the narrow ones, from 1.
    """

    def __init__(self, channels: int, maps: int = 16, code: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, maps, 3, 2, 1), nn.ReLU(), nn.Conv2d(maps, code, 3, padding=1), nn.ReLU()
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(code, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, channels, 3, padding=1), nn.Sigmoid()
        )

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape, from 0 to 1."""
        found: Tensor = self.decoder(functional.interpolate(self.encoder(images), images.shape[2:], mode="nearest"))
        return found
