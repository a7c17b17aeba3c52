"""T29, learnt detectors and a reformer: an autoencoder that knows clean images says what is none, and mends the rest.

Meng and Chen, "MagNet: a two-pronged defense against adversarial examples" (arXiv:1705.09064). The reformer stands in
front of the network; one detector looks at how far the autoencoder moves an image, another at how far that moves the
network's probabilities, at a high temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import in_front
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.reconstruction import autoencoder
from plaintext_models.defences.threshold import Either, held_out, thresholded
from plaintext_models.nets.autoencoder import Autoencoder
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

NOISE = 0.1  # the paper's, on what the autoencoder learns from
TEMPERATURE = 10.0  # one of the paper's two
FALSE_POSITIVES = 0.02  # of clean held-out images, by both detectors together
EPOCHS = {"digits": 60}  # others: OTHERWISE
OTHERWISE = 10


@dataclass(frozen=True, eq=False)
class MagNet:
    """An autoencoder as reformer and as detectors.

    Attributes:
        autoencoder: Maps images in [0, 1] to images of the same shape, those of clean images to nearly the same.
    """

    autoencoder: Autoencoder

    def wrap(self, target: Target) -> Target:
        """The network behind the reformer, without detection."""
        return in_front(target, self.autoencoder)

    def moved(self, target: Target, images: Tensor) -> Tensor:
        """The mean absolute change of a pixel by the autoencoder, in units of the target's range, [batch]."""
        low, high = target.limits(images)
        unit = (images - low) / (high - low)
        return (unit - self.autoencoder(unit)).abs().flatten(1).mean(1)

    def divergence(self, target: Target, images: Tensor) -> Tensor:
        """The Jensen-Shannon divergence of the probabilities of images and of reformed images, nats, [batch]."""
        logits = torch.stack([target.logits(images), self.wrap(target).logits(images)])
        shares = (logits / TEMPERATURE).log_softmax(2)
        middle = shares.exp().mean(0).clamp_min(torch.finfo(shares.dtype).tiny).log()
        return (shares.exp() * (shares - middle)).sum(2).mean(0)

    def detector(self, target: Target, clean: Tensor, false_positives: float = FALSE_POSITIVES) -> Either:
        """Both detectors, each of which turns away at most half of the given share of clean images.

        Args:
            target: The bare network.
            clean: Images that neither network nor autoencoder was trained on.
            false_positives: The share, from 0 to 1.
        """
        scores = (partial(self.moved, target), partial(self.divergence, target))
        return Either(tuple(thresholded(score, clean, false_positives / 2) for score in scores))


def magnet(dataset: Dataset, seed: int) -> MagNet:
    """Train the autoencoder on noisy images, its code three quarters as wide as an image.

    Args:
        dataset: Its training images are used.
        seed: Determines the training.
    """
    images = torch.from_numpy(dataset.train_images)
    hidden, epochs = 3 * images[0].numel() // 4, EPOCHS.get(dataset.name, OTHERWISE)
    return MagNet(autoencoder(images, hidden=hidden, epochs=epochs, seed=seed, noise=NOISE))


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Reformer in front of the network of the recipe, and the detectors; a fifth of the images set the thresholds."""
    part = held_out(dataset)
    bare, both = Target(make(recipe, part)), magnet(part, recipe.seed)
    return Defended(both.wrap(bare), bare, detector=both.detector(bare, torch.from_numpy(part.test_images)))
