"""Images turned towards the gradient: a perturbation that can be differentiated (arXiv:1412.6572, section 4)."""

from __future__ import annotations

import math

from torch import Tensor

from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.grid import nearest_levels
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import TINY
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target


def turned(images: Tensor, gradient: Tensor, angle: float) -> Tensor:
    """Images, taken for vectors, turned by an angle in the plane of image and gradient, towards the gradient.

    Their length stays. An image whose gradient points along it stays as it is.

    Args:
        images: [batch, *shape].
        gradient: [batch, *shape].
        angle: Radians, from 0 to pi / 2.

    Raises:
        ValueError: The angle is out of range.
    """
    number(angle, "angle", least=0, most=math.pi / 2)
    x, slope = images.flatten(1), gradient.flatten(1)
    along = (slope * x).sum(1, keepdim=True) / x.square().sum(1, keepdim=True).clamp_min(TINY)
    across = slope - along * x
    across = across * (x.norm(dim=1, keepdim=True) / (across.norm(dim=1, keepdim=True) + TINY))
    return (math.cos(angle) * x + math.sin(angle) * across).reshape(images.shape)


@entrance
def rotate(target: Target, images: Tensor, goal: Goal, angle: float) -> Tensor:
    """Images turned by an angle towards the gradient of the cross-entropy, then put back where images may lie.

    It is no attack of the family `within`: how far an image moves in any norm depends on its length, 2 |x| sin(angle
    / 2) in the Euclidean one before it is put back.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What the loss is climbed for; towards targets it descends.
        angle: Radians, from 0 to pi / 2.

    Returns:
        Images [batch, *shape], within the bounds and on the grid.

    Raises:
        ValueError: The angle is out of range; or where `Target.check` raises it.
    """
    target.check(images, goal.labels)
    gradient, _ = target.gradient(images, lambda logits: goal.sign * cross_entropy(logits, goal.classes))
    limits = target.limits(images)
    return nearest_levels(turned(images, gradient, angle).clamp(*limits), limits, target.levels)
