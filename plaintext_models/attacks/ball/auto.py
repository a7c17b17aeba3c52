"""Auto-PGD: a step size that halves itself where the loss stalls (Croce and Hein, arXiv:2003.01690)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.ball.climb import Step, climb, wrong_classes
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, spread
from plaintext_models.attacks.core.grid import Limits
from plaintext_models.attacks.core.losses import Loss
from plaintext_models.attacks.core.target import Target

MOMENTUM = 0.75  # of a step, the part that is new; the rest repeats the last one
RISING = 0.75  # of the steps between two checkpoints, the part that has to raise the loss


class Auto(Step):
    """Algorithm 1 of the paper, its steps beginning at twice the radius."""

    def __init__(self, clean: Tensor, *, ball: Ball, limits: Limits, checkpoints: list[int]) -> None:
        super().__init__(clean, ball=ball, limits=limits)
        self.checkpoints, self.taken = checkpoints, 0
        self.sizes = (2 * ball.radii(clean)).to(clean.dtype)
        self.top = self.before = self.slope = clean  # the best point, the last point, the gradient at the best
        self.most = self.last = self.checked = torch.full_like(self.sizes, -torch.inf)  # the loss at best, last, check
        self.rises = torch.zeros_like(self.sizes)
        self.halved = torch.zeros_like(self.sizes, dtype=torch.bool)

    def __call__(self, moved: Tensor, gradient: Tensor, values: Tensor) -> Tensor:
        """The next points; see `Step`."""
        better = spread(values > self.most, moved)
        self.top, self.slope = torch.where(better, moved, self.top), torch.where(better, gradient, self.slope)
        self.rises = self.rises + (values > self.last)
        self.most, self.last = torch.maximum(self.most, values), values
        if not self.taken:
            self.checked, self.rises, self.before = values, torch.zeros_like(values), moved
        elif self.taken in self.checkpoints[1:]:
            moved, gradient = self._check(moved, gradient)
        fresh = MOMENTUM if self.taken else 1
        ahead = self.along(moved, gradient, spread(self.sizes, moved))
        after = self.back(moved + fresh * (ahead - moved) + (1 - fresh) * (moved - self.before))
        self.before, self.taken = moved, self.taken + 1
        return after

    def _check(self, moved: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Where the loss did not rise often, or not at all, halve the step and go back to the best point."""
        span = self.taken - self.checkpoints[self.checkpoints.index(self.taken) - 1]
        self.halved = (self.rises < RISING * span) | (~self.halved & (self.most == self.checked))
        self.sizes = torch.where(self.halved, self.sizes / 2, self.sizes)
        self.last = torch.where(self.halved, self.most, self.last)
        self.checked, self.rises = self.most, torch.zeros_like(self.rises)
        back = spread(self.halved, moved)
        return torch.where(back, self.top, moved), torch.where(back, self.slope, gradient)

    def best(self, _: Tensor) -> Tensor:
        """The points of the largest loss; see `Step`."""
        return self.top


def checkpoints(steps: int) -> list[int]:
    """The steps after which the step size may halve: 0, 22 %, and then ever closer to each other."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    return sorted({-(-percent * steps // 100) for percent in percents})


@entrance
def apgd(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 100,
    restarts: int = 1,
    loss: str | Loss = "dlr",
    seed: int = 0,
    draws: int = 1,
) -> AttackResult:
    """Ascent with momentum that, at checkpoints, halves steps that do not help and goes back to the best point.

    The checkpoints are fractions of `steps`: unlike those of `pgd`, more steps are another path, and not a longer one.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        steps: How many steps every run takes, from 1.
        restarts: Runs from random points, from 1; only what is not yet fooled goes on to the next.
        loss: See `pgd`; "dlr" needs 3 classes, and 4 where there are targets, towards which it then grows.
        seed: The seed of the random starts.
        draws: See `pgd`.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it.
    """
    return climb(
        target,
        images,
        goal,
        partial(Auto, checkpoints=checkpoints(integer(steps, "steps", 1))),
        ball=ball,
        steps=steps,
        loss=loss,
        aims=[goal] * integer(restarts, "restarts", 1),
        random_start=True,
        draws=draws,
        seed=seed,
    )


@entrance
def apgd_targeted(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 100,
    classes: int = 9,
    seed: int = 0,
) -> AttackResult:
    """`apgd` towards one wrong class after the other, the most likely first; any wrong class that is met will do.

    The forward that ranks the classes is part of the check, and not counted.

    Args:
        target: The model, differentiable, of 4 classes or more.
        images: [batch, *shape], within its bounds.
        goal: Any wrong class, without targets: the attack chooses those itself.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        steps: How many steps are taken towards every class, from 1.
        classes: How many are aimed at, from 1; all wrong ones if there are fewer.
        seed: The seed of the random starts.

    Raises:
        TypeError: Where `climb` raises it.
        ValueError: Where `climb` raises it.
    """
    integer(classes, "classes", 1)
    ranked = wrong_classes(target, images, goal)
    return climb(
        target,
        images,
        goal,
        partial(Auto, checkpoints=checkpoints(integer(steps, "steps", 1))),
        ball=ball,
        steps=steps,
        loss="dlr",
        aims=[Goal(goal.labels, wrong) for wrong in ranked[:, :classes].unbind(1)],
        random_start=True,
        seed=seed,
    )
