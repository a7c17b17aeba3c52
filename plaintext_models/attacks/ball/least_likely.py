"""Attacks that aim at the class which the model holds least likely."""

from __future__ import annotations

from torch import Tensor

from plaintext_models.attacks.ball.climb import wrong_classes
from plaintext_models.attacks.ball.pgd import bim, fgsm
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target


@entrance
def ilcm(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    leave: bool = True,
) -> AttackResult:
    """BIM towards the class that the model holds least likely (Kurakin et al., arXiv:1607.02533).

    That class is the goal: an image that ends as another wrong one is a failure. The forward that finds the class is
    part of the check, and not counted. A class that is masked, by a logit such as -1e9, is the least likely of all and
    cannot be reached: leave it out of the answers of a model that is attacked in this way.

    Without a bound, in `Ball("linf", target.width)`, and with `leave=False`, it makes pictures of what the model holds
    for that class; of robust models they are said to look like it.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: The labels, without targets; a label is not aimed at even where it is the least likely class.
        ball: See `pgd`.
        steps: See `pgd`.
        step_size: See `pgd`.
        leave: See `pgd`.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it.
    """
    aim = _least_likely(target, images, goal)
    return bim(target, images, aim, ball, steps=steps, step_size=step_size, leave=leave)


@entrance
def one_step_least_likely(target: Target, images: Tensor, goal: Goal, ball: Ball) -> AttackResult:
    """FGSM towards the class that the model holds least likely (Kurakin et al., arXiv:1611.01236); see `ilcm`."""
    return fgsm(target, images, _least_likely(target, images, goal), ball)


def _least_likely(target: Target, images: Tensor, goal: Goal) -> Goal:
    return Goal(goal.labels, wrong_classes(target, images, goal)[:, -1])
