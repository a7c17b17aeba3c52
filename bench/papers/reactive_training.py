"""The trainings of `reactive.py`: a fifth of the training part is for what stands in front, the rest for networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.papers.experiment import Making, Trained
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.population.universal import image_by_image
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.components import components
from plaintext_models.defences.convolutional import convolutional
from plaintext_models.defences.threshold import held_out
from plaintext_models.defences.tied import tied
from plaintext_models.nets.autoencoder import ConvolutionalAutoencoder, TiedAutoencoder
from plaintext_models.zoo.make import make, untrained
from plaintext_models.zoo.recipe import Recipe

SEEN = 500  # images that a universal perturbation is made on


@dataclass(frozen=True)
class Bare:
    """The training of a recipe without a fifth of the images."""

    recipe: Recipe

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return untrained(replace(self.recipe, seed=making.seed), making.dataset)

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        recipe = replace(self.recipe, seed=making.seed)
        return Trained(make(recipe, held_out(making.dataset), report=making.report))


@dataclass(frozen=True)
class Reforming:
    """The training of an autoencoder on that fifth.

    Attributes:
        kind: "autoencoder" or "convolutional".
    """

    kind: str

    def build(self, making: Making) -> nn.Module:
        """The autoencoder before it is trained."""
        if self.kind == "convolutional":
            return ConvolutionalAutoencoder(making.dataset.input_shape[0])
        return TiedAutoencoder(making.dataset.input_shape, len(components(fitted_on(making.dataset)[0]).variances))

    def fit(self, making: Making) -> Trained:
        """The trained autoencoder."""
        train: Callable[[Tensor, int], nn.Module] = convolutional if self.kind == "convolutional" else tied
        return Trained(train(fitted_on(making.dataset)[0], making.seed))


class Moved(nn.Module):
    """One perturbation for all images, in [0, 1] again.

    Args:
        shape: Of one image.
    """

    move: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("move", torch.zeros(shape))

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *shape] -> the same shape."""
        return (images + self.move).clamp(0, 1)


@dataclass(frozen=True)
class Universal:
    """The search for a universal perturbation against a bare network, image by image.

    Attributes:
        recipe: The network.
        radius: Of the Linf ball that it must lie in.
    """

    recipe: Recipe
    radius: float

    def build(self, making: Making) -> Moved:
        """No perturbation."""
        return Moved(making.dataset.input_shape)

    def fit(self, making: Making) -> Trained:
        """The perturbation."""
        making.report("a universal perturbation")
        images, labels = (part[:SEEN] for part in fitted_on(making.dataset))
        found, target = self.build(making), Target(making.trained(Bare(self.recipe)).module)
        made = image_by_image(target, images, Goal(labels), Ball("linf", self.radius), epochs=5, seed=making.seed)
        found.move.copy_(made.perturbation)
        return Trained(found.eval())


def fitted_on(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """The fifth of the training part that no network is trained on: images and labels."""
    part = held_out(dataset)
    return torch.from_numpy(part.test_images), torch.from_numpy(part.test_labels)
