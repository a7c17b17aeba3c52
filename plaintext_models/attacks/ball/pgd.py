"""Projected gradient ascent, and what it is with one step or without a random start: FGSM and BIM."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.ball.climb import Step, climb
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import Loss
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target

LONGEST = 1e18  # step, whose square float32 holds


@entrance
def fgsm(target: Target, images: Tensor, goal: Goal, ball: Ball) -> AttackResult:
    """One step, from the image to the surface of the ball, up the cross-entropy (Goodfellow et al., arXiv:1412.6572).

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; for "l2" and "l1" the step takes the steepest direction of that norm, see
            `norms.steepest`.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it.
    """
    return climb(
        target,
        images,
        goal,
        partial(Step, share=1),
        ball=ball,
        steps=1,
        loss="cross-entropy",
        aims=[goal],
        random_start=False,
    )


@entrance
def bim(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 10,
    step_size: float | None = None,
    leave: bool = True,
) -> AttackResult:
    """FGSM in small steps, from the image itself (basic iterative method: Kurakin et al., arXiv:1607.02533).

    See `pgd`, which this is without random starts.
    """
    return pgd(target, images, goal, ball, steps=steps, step_size=step_size, random_start=False, leave=leave)


@entrance
def pgd(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    leave: bool = True,
    loss: str | Loss = "cross-entropy",
    draws: int = 1,
    seed: int = 0,
) -> AttackResult:
    """Projected gradient ascent from random points of the ball (Madry et al., arXiv:1706.06083).

    L1 takes the sparse steps and the exact projection of Croce and Hein (arXiv:2103.01208). With the same seed, more
    restarts never find less; nor do more steps of the same size.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        steps: How many steps every run takes, from 1.
        step_size: Length of a step in the norm, from 0 to 1e18; 2.5 * radius / steps if None, which crosses the ball
            with some steps to spare.
        restarts: Runs, from 1; only what is not yet fooled goes on to the next.
        random_start: Whether the first run starts at a random point, and not at the image; the others always do.
        leave: Whether an image is let go of as soon as it is fooled; what is to fool other models gains by going on.
        loss: "cross-entropy", "margin", "dlr", or a function of logits [batch, classes] and classes [batch]. It
            grows away from the classes, labels or targets: of targets it is made small.
        draws: Forwards whose gradients and logits are averaged, from 1; for targets that are stochastic
            (Athalye et al., arXiv:1802.00420).
        seed: The seed of the random starts.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it.
    """
    share = 2.5 / integer(steps, "steps", 1)
    size = None if step_size is None else number(step_size, "step_size", least=0, most=LONGEST)
    return climb(
        target,
        images,
        goal,
        partial(Step, size=size, share=share),
        ball=ball,
        steps=steps,
        loss=loss,
        aims=[goal] * integer(restarts, "restarts", 1),
        random_start=random_start,
        leave=leave,
        draws=draws,
        seed=seed,
    )
