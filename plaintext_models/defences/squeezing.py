"""T28, feature squeezing: an image is suspect if its answer changes once it has fewer bits or is smoothed.

Xu, Evans and Qi, "Feature squeezing: detecting adversarial examples in deep neural networks" (arXiv:1704.01155). Of the
paper's squeezers, bit depth and median are here; non-local means are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.derived import Front, in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.threshold import Thresholded, held_out, thresholded
from plaintext_models.nets.layers import medians
from plaintext_models.training.qat.rounding import round_half_up
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

BITS = 3
WINDOW = 2
FALSE_POSITIVES = 0.05  # of clean held-out images; the paper's


class BitDepth:
    """Pixels in [0, 1] rounded to 2^bits levels. Gradients go straight through.

    Args:
        bits: From 1 to 16.
    """

    def __init__(self, bits: int) -> None:
        self._steps = 2 ** integer(bits, "bits", 1, 16) - 1

    def __call__(self, images: Tensor) -> Tensor:
        """Round images of any shape."""
        return round_half_up(images * self._steps) / self._steps


class Median:
    """Every pixel replaced by the median of a window, its gradient that of the pixel taken.

    Args:
        side: The side of the window, from 1. Of an even number of pixels the lower of the two in the middle is taken.
    """

    def __init__(self, side: int) -> None:
        self._side = integer(side, "side", 1)

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape; beyond the edges, the pixels at the edges count."""
        return medians(images, self._side)


@dataclass(frozen=True)
class Squeezing:
    """A squeezer in front of a network; and a score of how far the answers are from those of squeezed images.

    Attributes:
        squeezers: One or several; `wrap` puts the first in front.
    """

    squeezers: Sequence[Front]

    def wrap(self, target: Target) -> Target:
        """The network behind the first squeezer, without detection."""
        return in_front(target, self.squeezers[0])

    def score(self, target: Target, images: Tensor) -> Tensor:
        """The largest L1 distance between the probabilities of images and of squeezed images, from 0 to 2, [batch]."""
        whole = target.logits(images).softmax(1)
        squeezed = (in_front(target, squeezer).logits(images).softmax(1) for squeezer in self.squeezers)
        return torch.stack([(whole - answers).abs().sum(1) for answers in squeezed]).amax(0)

    def detector(self, target: Target, clean: Tensor, false_positives: float = FALSE_POSITIVES) -> Thresholded:
        """The detector that turns away a given share of clean images; see `threshold.thresholded`."""
        return thresholded(
            partial(self.score, target), clean, number(false_positives, "false_positives", least=0, most=1)
        )


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Three bits in front; images are turned away whose answers change with bits or a median of 2 x 2.

    A fifth of the images are held out of the training, and set the threshold.
    """
    part = held_out(dataset)
    bare, squeezing = Target(make(recipe, part)), Squeezing((BitDepth(BITS), Median(WINDOW)))
    detector = squeezing.detector(bare, torch.from_numpy(part.test_images))
    return Defended(squeezing.wrap(bare), bare, detector=detector)
