"""Projected gradient ascent that does not stop at the boundary: for what happens to the images elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from plaintext_models.attacks.core.losses import Loss, cross_entropy
from plaintext_models.attacks.core.norms import Norm, project, random_point, steepest
from plaintext_models.attacks.core.target import Target


def ascend(
    target: Target,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    radius: float,
    steps: int,
    generator: torch.Generator,
    loss: Loss = cross_entropy,
) -> Tensor:
    """The end of projected gradient ascent from a random point, [batch, *shape], whether it is adversarial or not.

    For what happens to the images elsewhere. `pgd` stops where this model is fooled, just beyond its boundary.
    """
    moved = random_point(images, norm, radius, target.bounds, generator)
    for _ in range(steps):
        gradient, _ = target.gradient(moved, lambda logits: loss(logits, labels))
        moved = project(images, moved + 2.5 * radius / steps * steepest(gradient, norm), norm, radius, target.bounds)
    return moved
