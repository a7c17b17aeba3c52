"""A score above which an image is turned away, set by how many clean images may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from plaintext_models.attacks.core.norms import TINY
from plaintext_models.data.datasets import Dataset, validation_split

Score = Callable[[Tensor], Tensor]  # maps images [batch, *shape] to scores [batch], the larger, the more suspect

ROWS = 1000  # images that are scored at once


@dataclass(frozen=True)
class Thresholded:
    """A detector, as `evaluation.runner.evaluate` takes it.

    Attributes:
        score: What is compared with the threshold.
        threshold: Above it an image is turned away.
    """

    score: Score
    threshold: float

    def __call__(self, images: Tensor) -> Tensor:
        """[batch], positive where an image is turned away."""
        return self.score(images) - self.threshold


@dataclass(frozen=True)
class Either:
    """A detector that turns an image away if any of several does.

    Attributes:
        detectors: One or several.
    """

    detectors: tuple[Thresholded, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """[batch], positive where an image is turned away: each score in units of its threshold."""
        return torch.stack([one(images) / max(abs(one.threshold), TINY) for one in self.detectors]).amax(0)


def held_out(dataset: Dataset) -> Dataset:
    """The training part alone: four fifths of it to train on, and a fifth, its test part, to set thresholds by."""
    return validation_split(dataset, len(dataset.train_labels) // 5)


@torch.no_grad()
def thresholded(score: Score, clean: Tensor, false_positives: float) -> Thresholded:
    """The detector that turns away at most a share of clean images.

    Args:
        score: What is compared with the threshold.
        clean: Images that nobody attacked and nothing was trained on, [n, *shape].
        false_positives: The share of them, from 0 to 1, that may be turned away.
    """
    scores = torch.cat([score(part) for part in clean.split(ROWS)]).sort().values
    allowed = min(int(false_positives * len(scores)), len(scores) - 1)
    return Thresholded(score, float(scores[len(scores) - 1 - allowed]))
