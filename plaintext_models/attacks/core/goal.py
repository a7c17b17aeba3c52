"""What an attack is after, and what it brings back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from plaintext_models.attacks.core.target import Target


@dataclass(frozen=True)
class Goal:
    """Any class but the label, or, with `targets`, one class an image.

    Attributes:
        labels: The true classes, integers [batch].
        targets: The classes to be reached, [batch], none of them the label; None if any wrong class will do.
    """

    labels: Tensor
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        if self.targets is None:
            return
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

    def __getitem__(self, rows: Tensor) -> Goal:
        """The goal of some of the images."""
        return Goal(self.labels[rows], None if self.targets is None else self.targets[rows])


@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    An image that was misclassified (or classified as its target) to begin with is returned as it was, as a success.

    Attributes:
        x_adv: [batch, *shape], within the target's bounds; the clean image where the attack failed.
        success: [batch], whether the goal was reached, on a forward of exactly `x_adv`.
        queries: [batch], forwards of the model that an image took, those of the check and of the verdict not counted.
        iterations: [batch], steps of the attack that an image took.
    """

    x_adv: Tensor
    success: Tensor
    queries: Tensor
    iterations: Tensor


def conclude(
    target: Target, images: Tensor, found: Tensor, goal: Goal, queries: Tensor, iterations: Tensor
) -> AttackResult:
    """The result of an attack that holds `found` to be adversarial: what does not stand a fresh forward is a failure.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        found: What the attack found; clipped to the bounds.
        goal: What the attack was to reach.
        queries: See `AttackResult`.
        iterations: See `AttackResult`.
    """
    x_adv = found.detach().clamp(*target.bounds)
    with torch.no_grad():
        success = goal.reached(target.logits(x_adv))
    return AttackResult(
        torch.where(spread(success, x_adv), x_adv, images), success, queries.clone(), iterations.clone()
    )


def start(target: Target, images: Tensor, goal: Goal, logits: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Check the input of an attack.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        goal: What is to be reached, for every image.
        logits: The logits of the images, where they are known already.

    Returns:
        Which images [batch] still have to be attacked, and zeros [batch] to count queries and iterations in.

    Raises:
        TypeError: Where `Target.check` raises it.
        ValueError: Where `Target.check` raises it; or a target outside the classes.
    """
    logits = target.check(images, goal.labels, logits)
    if goal.targets is not None:
        for extreme in (goal.targets.amin(), goal.targets.amax()):
            target.check(images[:1], extreme.reshape(1), logits[:1])
    counts = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return ~goal.reached(logits), counts, counts.clone()


def spread(values: Tensor, images: Tensor) -> Tensor:
    """One value an image, shaped to be combined with the images: [batch] as [batch, 1, ...]."""
    return values.reshape(-1, *(1,) * (images.ndim - 1))
