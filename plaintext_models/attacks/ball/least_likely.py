"""Attacks that aim at the class which the model holds least likely."""

from __future__ import annotations

from torch import Tensor

from plaintext_models.attacks.ball.climb import wrong_classes
from plaintext_models.attacks.ball.pgd import bim
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target


def ilcm(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
) -> AttackResult:
    """BIM towards the class that the model holds least likely (Kurakin et al., arXiv:1607.02533).

    That class is the goal: an image that ends as another wrong one is a failure. The forward that finds the class is
    part of the check, and not counted.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: The labels, without targets; a label is not aimed at even where it is the least likely class.
        ball: See `pgd`.
        steps: See `pgd`.
        step_size: See `pgd`.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it; or there is one class only.
    """
    least = Goal(goal.labels, wrong_classes(target, images, goal)[:, -1])
    return bim(target, images, least, ball, steps=steps, step_size=step_size)


def one_step_least_likely(target: Target, images: Tensor, goal: Goal, ball: Ball) -> AttackResult:
    """FGSM towards the class that the model holds least likely (Kurakin et al., arXiv:1611.01236); see `ilcm`."""
    return ilcm(target, images, goal, ball, steps=1, step_size=ball.radius)
