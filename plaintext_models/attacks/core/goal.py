"""What an attack is after, and what it brings back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from plaintext_models.attacks.core.answers import are_probabilities, require_classes
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.grid import roundings
from plaintext_models.attacks.core.norms import inside, spread
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import class_labels


@dataclass(frozen=True, eq=False)
class Goal:
    """Any class but the label, or, with `targets`, one class an image.

    Attributes:
        labels: The true classes [batch]: a tensor, array or sequence of integers of any type, copied as int64.
        targets: The classes to be reached, [batch], none of them the label; None if any wrong class will do.

    Raises:
        TypeError: Labels or targets are not integers.
        ValueError: They are not [batch], or not as many; or a target is its label.
    """

    labels: Tensor
    targets: Tensor | None = None
    guarded: ClassVar[bool] = False  # whether the last logit is a detector's score, and not a class

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", class_labels(self.labels, "labels"))
        if self.labels.ndim != 1:
            raise ValueError(f"`labels` must be [batch], got {tuple(self.labels.shape)}")
        if self.targets is None:
            return
        object.__setattr__(self, "targets", class_labels(self.targets, "targets").to(self.labels.device))
        if self.targets.shape != self.labels.shape:
            raise ValueError(f"`targets` must have a class an image, got {tuple(self.targets.shape)}")
        if bool((self.targets == self.labels).any()):
            raise ValueError("`targets` must differ from the labels, got an image whose target is its label")

    @property
    def classes(self) -> Tensor:
        """The class of every image that its logits are compared by: its target, or its label."""
        return self.labels if self.targets is None else self.targets

    @property
    def sign(self) -> int:
        """The direction of a loss of `classes`: 1 where it is to grow, -1 where it is to shrink."""
        return 1 if self.targets is None else -1

    def reached(self, logits: Tensor) -> Tensor:
        """Which images [batch] are classified as wanted. Equal largest logits count as the lowest class among them."""
        found = logits.argmax(1)
        return found != self.labels if self.targets is None else found == self.targets

    def ballot(self, logits: Tensor) -> Tensor:
        """One vote an image for its class, [batch, classes]; `reached` of the mean of several goes by most of them."""
        return functional.one_hot(logits.argmax(1), logits.shape[1]).double()

    def __getitem__(self, rows: Tensor) -> Goal:
        """The goal of some of the images."""
        return Goal(self.labels[rows], None if self.targets is None else self.targets[rows])


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an attack found.

    An image that was misclassified (or classified as its target) to begin with is returned as it was, as a success.
    One forward of a stochastic target decides nothing: all of its images are attacked, and none is taken back.

    Attributes:
        x_adv: [batch, *shape], within the target's bounds; the clean image where the attack failed. Of a stochastic
            target, what was found, whether that forward was fooled by it or not.
        success: [batch], whether the goal was reached, on a forward of exactly `x_adv`.
        queries: [batch], forwards of the model that an image took, those of the check and of the verdict not counted.
        iterations: [batch], steps of the attack that an image took.
    """

    x_adv: Tensor
    success: Tensor
    queries: Tensor
    iterations: Tensor


def conclude(
    target: Target,
    images: Tensor,
    found: Tensor,
    goal: Goal,
    queries: Tensor,
    iterations: Tensor,
    ball: Ball | None = None,
) -> AttackResult:
    """The result of an attack that holds `found` to be adversarial: what does not stand a fresh forward is a failure.

    See `AttackResult` for what becomes of it.

    Where the target has levels, what was found is brought to the nearest of three roundings that stands, each in the
    ball; see `grid.roundings`.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        found: What the attack found; clipped to the bounds.
        goal: What the attack was to reach.
        queries: See `AttackResult`.
        iterations: See `AttackResult`.
        ball: The ball in which roundings may move, and outside of whose mask nothing may; None for towards the clean
            image alone.
    """
    limits = target.limits(images)
    x_adv = found.detach().clamp(*limits)
    if ball is not None:
        x_adv = ball.only(x_adv, images)
    with torch.no_grad():
        if target.levels is None:
            success = goal.reached(target.logits(x_adv))
        else:
            towards, *farther = roundings(images, x_adv, limits, target.levels)
            x_adv, success = towards, goal.reached(target.logits(towards))
            for rounded in farther:
                if ball is not None:
                    better = ~success & inside(ball, images, rounded) & goal.reached(target.logits(rounded))
                    x_adv, success = torch.where(spread(better, images), rounded, x_adv), success | better
    kept = torch.where(spread(success | target.stochastic, x_adv), x_adv, images)
    return AttackResult(kept, success, queries.clone(), iterations.clone())


def examine(target: Target, images: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
    """Check a target, and warn, once an attack, of a differentiable one whose logits look like probabilities."""
    is_new = target.is_new()
    logits = target.check(images, labels, logits)
    if is_new and target.differentiable and are_probabilities(logits):
        warnings.warn(
            "the model's logits look like probabilities: a softmax flattens slopes that attacks follow; leave it out",
            stacklevel=2,
        )
    return logits


def start(target: Target, images: Tensor, goal: Goal, logits: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Check the input of an attack.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        goal: What is to be reached, for every image.
        logits: The logits of the images, where they are known already.

    Returns:
        Which images [batch] still have to be attacked, all of a stochastic target's among them, and zeros [batch] to
        count queries and iterations in.

    Raises:
        TypeError: Where `Target.check` raises it.
        ValueError: Where `Target.check` raises it; or a target outside the classes.
    """
    logits = examine(target, images, goal.labels, logits)
    if goal.targets is not None:
        require_classes(logits.shape[1], goal.targets, "targets")
    counts = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return ~goal.reached(logits) | target.stochastic, counts, counts.clone()
