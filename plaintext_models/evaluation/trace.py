"""What a model answers along a line through an image (Goodfellow et al., arXiv:1412.6572, figure 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.target import Target


def along(target: Target, images: Tensor, goal: Goal, distances: Sequence[float]) -> Tensor:
    """Logits at x + t sign(gradient of the cross-entropy at x), clipped by no bounds.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: Of the labels, whose cross-entropy is climbed.
        distances: Every t, in units of the images' elements.

    Returns:
        [len(distances), batch, classes].
    """
    gradient, _ = target.gradient(images, lambda logits: goal.sign * cross_entropy(logits, goal.classes))
    with torch.no_grad():
        return torch.stack([target.logits(images + distance * gradient.sign()) for distance in distances])


def straightness(logits: Tensor) -> float:
    """How much of the logits' change along a line a straight line explains, from 0 to 1: R^2 over evenly spaced points.

    Args:
        logits: [points, batch, classes], at least 3 points.
    """
    places = torch.arange(len(logits), dtype=logits.dtype)
    centred, places = logits - logits.mean(0), (places - places.mean())[:, None, None]
    fitted = places * ((places * centred).sum(0) / places.square().sum())
    return 1 - float((centred - fitted).square().sum() / centred.square().sum())
