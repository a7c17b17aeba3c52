"""A score above which an image is turned away, set by how many clean images may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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


@torch.no_grad()
def thresholded(score: Score, clean: Tensor, false_positives: float) -> Thresholded:
    """The detector that turns away at most a share of clean images.

    Args:
        score: What is compared with the threshold.
        clean: Images that nobody attacked, [n, *shape], of the training part.
        false_positives: The share of them, from 0 to 1, that may be turned away.
    """
    scores = torch.cat([score(part) for part in clean.split(ROWS)]).sort().values
    allowed = min(int(false_positives * len(scores)), len(scores) - 1)
    return Thresholded(score, float(scores[len(scores) - 1 - allowed]))
