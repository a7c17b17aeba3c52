"""C9, a convolutional autoencoder in front of a network.

Masci et al., "Stacked convolutional auto-encoders for hierarchical feature extraction" (ICANN 2011).
"""

from __future__ import annotations

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.reconstruction import reconstructing
from plaintext_models.defences.threshold import held_out
from plaintext_models.determinism import deterministic
from plaintext_models.nets.autoencoder import ConvolutionalAutoencoder
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

STEPS = 500  # of its training, at least; every image is seen as often
BATCH = 32
RATE = 0.01


def convolutional(images: Tensor, seed: int) -> ConvolutionalAutoencoder:
    """Train the autoencoder.

    Args:
        images: Clean images, float32 [n, channels, height, width] in [0, 1]; at least 32.
        seed: Determines its first weights and the training.
    """
    with deterministic(seed):
        module = ConvolutionalAutoencoder(images.shape[1])
    epochs = -(-STEPS // (len(images) // BATCH))
    return reconstructing(module, images, epochs=epochs, seed=seed, batch_size=BATCH, learning_rate=RATE)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """The autoencoder in front of the network of the recipe, which is trained without the fifth that it learns from."""
    part = held_out(dataset)
    bare = Target(make(recipe, part))
    return Defended(in_front(bare, convolutional(torch.from_numpy(part.test_images), recipe.seed)), bare)
