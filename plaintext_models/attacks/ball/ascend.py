"""Projected gradient ascent that does not stop at the boundary: its images are made for use elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.grid import roundings
from plaintext_models.attacks.core.losses import Loss, cross_entropy
from plaintext_models.attacks.core.norms import project, random_point, spread, steepest, within_norm
from plaintext_models.attacks.core.target import Target


@entrance
def ascend(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int,
    generator: torch.Generator,
    loss: Loss = cross_entropy,
    random_start: bool = True,
) -> Tensor:
    """The end of projected gradient ascent, whether it is adversarial or not.

    It serves adversarial training and transfer to other models. It is no attack of the family `within`, since it
    returns images alone: `pgd` stops where this model is fooled, just beyond its boundary.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What the loss is climbed for; towards targets it descends.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        steps: How many steps are taken, each of the length 2.5 * radius / steps.
        generator: Draws the random points.
        loss: Maps logits [batch, classes] and classes [batch] to one number an image.
        random_start: Whether it starts at a random point of the ball, and not at the image; one step from the image is
            the fast gradient sign method.

    Returns:
        Images [batch, *shape], within bounds and ball.
    """
    norm, radii, limits = within_norm(ball), ball.radii(images), target.limits(images)
    size = spread((2.5 * radii / integer(steps, "steps", 1)).to(images.dtype), images)
    moved = ball.only(random_point(images, norm, radii, limits, generator), images) if random_start else images
    for _ in range(steps):
        gradient, _ = target.gradient(moved, lambda logits: goal.sign * loss(logits, goal.classes))
        moved = project(images, moved + size * steepest(ball.only(gradient, 0), norm), norm, radii, limits)
    return moved if target.levels is None else next(roundings(images, moved, limits, target.levels))
