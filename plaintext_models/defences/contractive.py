"""T22, a contractive autoencoder in front of a network, to suppress what was added to an image.

Gu and Rigazio, "Towards deep neural network architectures robust to adversarial examples" (arXiv:1412.5068), with the
penalty of Rifai et al. (ICML 2011). Attacked end to end, the stack is said to be more vulnerable than the bare network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.reconstruction import autoencoder
from plaintext_models.nets.autoencoder import Autoencoder
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

WEIGHT = 1e-3  # of the penalty
EPOCHS = {"digits": 60}  # others: OTHERWISE
OTHERWISE = 5


@dataclass(frozen=True, eq=False)
class Contractive:
    """An autoencoder in front of a network.

    Attributes:
        autoencoder: Maps images in [0, 1] to images of the same shape.
    """

    autoencoder: Autoencoder

    def wrap(self, target: Target) -> Target:
        """The stack, whose gradients are those of both: it is attacked end to end."""
        return in_front(target, self.autoencoder)


def contractive(dataset: Dataset, seed: int, *, weight: float = WEIGHT) -> Contractive:
    """Train the autoencoder, its code three quarters as wide as an image.

    Args:
        dataset: Its training images are used.
        seed: Determines the training.
        weight: The weight of the penalty, from 0.
    """
    images = torch.from_numpy(dataset.train_images)
    hidden, epochs = 3 * images[0].numel() // 4, EPOCHS.get(dataset.name, OTHERWISE)
    return Contractive(autoencoder(images, hidden=hidden, epochs=epochs, seed=seed, contraction=weight))


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """The autoencoder in front of the network of the recipe."""
    bare = Target(make(recipe, dataset))
    return Defended(contractive(dataset, recipe.seed).wrap(bare), bare)
