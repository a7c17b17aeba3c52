"""T31, foveation: a network looks at regions of an image, each enlarged to the whole, and not at the image.

Luo et al., "Foveation-based mechanisms alleviate adversarial examples" (arXiv:1511.06292): objects may be moved and
scaled, perturbations may not. The thesis calls it a way to detect: images are turned away whose regions disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import derived, in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.threshold import Thresholded, held_out, thresholded
from plaintext_models.defences.windows import seen_through
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

SHARE = 0.9
PLACES = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))  # the middle and the corners; the paper's "10 crops" less mirrors
FALSE_POSITIVES = 0.05  # of clean held-out images


@dataclass(frozen=True)
class Region:
    """One region, rescaled bilinearly to the size of the image.

    Attributes:
        share: Its side, as a share of the image's, above 0 to 1.
        place: Where it lies: (-1, -1) is the upper left corner, (1, 1) the lower right one.

    Raises:
        ValueError: `share` is out of range.
    """

    share: float
    place: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        number(self.share, "share", above=0, most=1)

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape."""
        size = images.new_full((len(images),), self.share)
        x, y = ((1 - self.share) * side + 0 * size for side in self.place)
        return seen_through(images, size, x, y)


@dataclass(frozen=True)
class Foveation:
    """Several regions, whose logits are averaged.

    Attributes:
        share: The side of every region, as a share of the image's, above 0 to 1.
    """

    share: float = SHARE

    def wrap(self, target: Target) -> Target:
        """The network that looks at the regions."""
        return derived(target, partial(self.mean, target))

    def regions(self, target: Target) -> tuple[Target, ...]:
        """The network behind each of the regions."""
        return tuple(in_front(target, Region(self.share, place)) for place in PLACES)

    def mean(self, target: Target, images: Tensor) -> Tensor:
        """The mean logits over the regions, [batch, classes]."""
        return torch.stack([region.logits(images) for region in self.regions(target)]).mean(0)

    def disagreement(self, target: Target, images: Tensor) -> Tensor:
        """The largest L1 distance of a region's probabilities from those of the whole image, from 0 to 2, [batch]."""
        whole = target.logits(images).softmax(1)
        parts = [region.logits(images).softmax(1) for region in self.regions(target)]
        return torch.stack([(part - whole).abs().sum(1) for part in parts]).amax(0)

    def detector(self, target: Target, clean: Tensor, false_positives: float = FALSE_POSITIVES) -> Thresholded:
        """The detector that turns away a given share of clean images; see `threshold.thresholded`."""
        return thresholded(partial(self.disagreement, target), clean, false_positives)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """Five regions; images are turned away whose regions disagree. A fifth of the images set the threshold."""
    part, foveation = held_out(dataset), Foveation()
    bare = Target(make(recipe, part))
    return Defended(foveation.wrap(bare), bare, detector=foveation.detector(bare, torch.from_numpy(part.test_images)))
