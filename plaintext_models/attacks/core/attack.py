"""What an attack is: one type, and the two signatures in which attacks are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target

#: An attack as a callable, everything else about it decided: of a model, images and a goal.
Attack = Callable[[Target, Tensor, Goal], AttackResult]


class Within(Protocol):
    """An attack within a ball: it looks for any image of the ball that reaches the goal.

    It promises that every image in its result lies in the ball around the clean one and within the target's bounds, and
    that one which does not reach the goal is the clean image. It makes no effort to stay near. Further options have
    defaults and are given by keyword.
    """

    def __call__(self, target: Target, images: Tensor, goal: Goal, ball: Ball, /) -> AttackResult:
        """Attack images [batch, *shape], all in balls of the same radius."""


class Nearest(Protocol):
    """An attack for the shortest perturbation: it looks for an image that reaches the goal, as near as it can.

    It promises that every image in its result lies within the target's bounds, and that one which does not reach the
    goal is the clean image. Of the images that it met it returns the nearest by the norm, however far that is. Further
    options have defaults and are given by keyword.
    """

    def __call__(self, target: Target, images: Tensor, goal: Goal, norm: Any, /) -> AttackResult:
        """Attack images [batch, *shape]; the norm is one that the attack has, a `Measure`."""
