"""C9, an autoencoder in front of a network, as wide inside as there are principal components, its weights tied.

Vincent et al., "Stacked denoising autoencoders" (JMLR, 2010), tie the decoder's weights to the encoder's likewise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.components import components
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.reconstruction import reconstructing
from plaintext_models.defences.threshold import held_out
from plaintext_models.determinism import deterministic
from plaintext_models.nets.autoencoder import TiedAutoencoder
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

STEPS = 1000  # of its training, at least; every image is seen as often
BATCH = 32


def tied(images: Tensor, seed: int) -> TiedAutoencoder:
    """Train the autoencoder, its code as wide as the images have principal components.

    Args:
        images: Clean images, float32 [n, *shape] in [0, 1]; at least 32.
        seed: Determines its first weights and the training.
    """
    hidden = len(components(images).variances)
    with deterministic(seed):
        module = TiedAutoencoder(tuple(images.shape[1:]), hidden)
    epochs = -(-STEPS // (len(images) // BATCH))
    return reconstructing(module, images, epochs=epochs, seed=seed, batch_size=BATCH)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """The autoencoder in front of the network of the recipe, which is trained without the fifth that it learns from."""
    part = held_out(dataset)
    bare = Target(make(recipe, part))
    return Defended(in_front(bare, tied(torch.from_numpy(part.test_images), recipe.seed)), bare)
