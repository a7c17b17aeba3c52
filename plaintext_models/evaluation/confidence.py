"""How sure a model is: of its mistakes, and of images of nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import Share

Probabilities = Callable[[Tensor], Tensor]  # maps logits [batch, classes] to probabilities [batch, classes]


def softmax(logits: Tensor) -> Tensor:
    """Probabilities of which one class has to have some."""
    return logits.softmax(1)


def confidence(logits: Tensor, which: Tensor, probabilities: Probabilities = softmax) -> float:
    """The mean of the greatest probability over some of the images, from 0 to 1; NaN where they are none.

    Args:
        logits: [batch, classes].
        which: Which images count, [batch], bool.
        probabilities: What the logits stand for: `softmax`, or `torch.sigmoid` where each class has its own.
    """
    if not which.any():
        return math.nan
    return float(probabilities(logits[which]).amax(1).mean())


def rubbish(
    target: Target,
    shape: tuple[int, ...],
    count: int,
    generator: torch.Generator,
    probabilities: Probabilities = softmax,
) -> tuple[Share, float]:
    """How often, and how surely, a model sees a class in noise: images of N(0, 1), in which no class is right.

    Goodfellow et al., arXiv:1412.6572, appendix A: a class with a probability above one half is a mistake.

    Args:
        target: The model.
        shape: The shape of an image.
        count: How many images, from 1.
        generator: Draws them.
        probabilities: See `confidence`.

    Returns:
        The share of mistakes, and the mean of the greatest probability over them.
    """
    with torch.no_grad():
        logits = target.logits(torch.randn(count, *shape, generator=generator))
    sure = probabilities(logits).amax(1) > 0.5
    return Share(int(sure.sum()), count), confidence(logits, sure, probabilities)
