"""The two networks of a generative adversarial network whose images are of a given class."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intnn.layers.nodes import Shape


class ImageGenerator(nn.Module):
    """Noise and a class to an image, through two hidden layers.

    Args:
        input_shape: The shape of one image.
        classes: How many classes there are.
        noise: How many normal numbers an image begins with, from 1.
        hidden: The width of both hidden layers, from 1.
    """

    def __init__(self, input_shape: Shape, classes: int, noise: int = 32, hidden: int = 128) -> None:
        super().__init__()
        self.input_shape, self.classes, self.noise = tuple(input_shape), classes, noise
        self.layers = nn.Sequential(
            nn.Linear(noise + classes, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, math.prod(input_shape)),
            nn.Sigmoid(),
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Noise [batch, noise] and classes [batch] -> images [batch, *shape], from 0 to 1."""
        found: Tensor = self.layers(torch.cat([noise, nn.functional.one_hot(labels, self.classes).to(noise)], 1))
        return found.reshape(-1, *self.input_shape)

    def drawn(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Images of classes [batch], their noise drawn."""
        images: Tensor = self(torch.randn(len(labels), self.noise, generator=generator), labels)
        return images


class Discriminator(nn.Module):
    """An image and its class to the logit of it being real, through one hidden layer.

    Args:
        input_shape: The shape of one image.
        classes: How many classes there are.
        hidden: The width of the hidden layer, from 1.
    """

    def __init__(self, input_shape: Shape, classes: int, hidden: int = 128) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(math.prod(input_shape) + classes, hidden),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(hidden, 1),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images [batch, *shape] and classes [batch] -> [batch]."""
        logits: Tensor = self.layers(
            torch.cat([images.flatten(1), nn.functional.one_hot(labels, self.classes).to(images)], 1)
        )
        return logits[:, 0]
