"""One perturbation for all images (Moosavi-Dezfooli et al., arXiv:1610.08401), found at once or image by image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import margin
from plaintext_models.attacks.core.norms import project, steepest, within_norm
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.determinism import generator


@dataclass(frozen=True, eq=False)
class UniversalResult:
    """A perturbation, and how well it does where it was made.

    Attributes:
        perturbation: [*shape], within the ball.
        fooling_rate: The fraction, from 0 to 1, of the images it was made on that reach the goal with it and did not
            before; NaN if all did. It says less than the rate on other images; see `apply` and `fooling_rate`.
    """

    perturbation: Tensor
    fooling_rate: float

    @entrance
    def apply(self, target: Target, images: Tensor, goal: Goal) -> AttackResult:
        """Add the perturbation to images, those it was made on or any others, of this model or any other.

        Args:
            target: The model.
            images: [batch, *shape], within its bounds.
            goal: What is to be reached, for every image: what the perturbation was made for, or anything else.

        Raises:
            ValueError: Where `start` raises it.
        """
        return _added(target, images, goal, self.perturbation)


@entrance
def fooling_rate(target: Target, images: Tensor, goal: Goal, perturbation: Tensor) -> float:
    """Of the images that do not reach the goal, how many do with the perturbation; NaN if there is none."""
    active, _, _ = start(target, images, goal)
    with torch.no_grad():
        reached = goal.reached(target.logits((images + perturbation).clamp(*target.limits(images))))
    return float(reached[active].double().mean())


@entrance
def universal(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    epochs: int = 20,
    batch_size: int = 64,
    step: float = 0.5,
    enough: float = 5.0,
    seed: int = 0,
) -> UniversalResult:
    """Find one perturbation that brings as many of the images as possible to the goal.

    By projected gradient ascent on the mean margin, as Shafahi et al. (arXiv:1811.11304) do with the cross-entropy;
    `image_by_image` is the algorithm of arXiv:1610.08401. A margin that is large enough counts no more, so that a few
    images do not outweigh the rest, nor does an element that an image has at its bound. Steps shrink to zero; the best
    epoch wins.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image; a perturbation that leads to one class needs one target for all.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        epochs: How many passes over the images, from 1; each takes two forwards of every image.
        batch_size: Images of one step, from 1.
        step: The first step, in units of the radius, positive.
        enough: The margin, in units of the logits, from which an image counts as done; positive.
        seed: The seed of the order of the images.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
    """
    norm, radius = within_norm(ball), ball.require_one_radius()
    integer(epochs, "epochs", 1)
    integer(batch_size, "batch_size", 1)
    number(step, "step", above=0)
    number(enough, "enough", above=0)
    active, _, _ = start(target, images, goal)
    low, high = target.limits(images)
    drawn = generator(seed, images.device)
    rows = active.nonzero().squeeze(1)
    best = now = torch.zeros_like(images[:1])
    best_rate = float("nan")
    for epoch in range(epochs if len(rows) else 0):
        length = step * radius * (1 - epoch / epochs)
        order = rows[torch.randperm(len(rows), generator=drawn, device=images.device)]
        for batch in order.split(batch_size):
            moved = images[batch] + now
            gradient, _ = target.gradient(moved.clamp(low, high), partial(_gain, goal=goal[batch], enough=enough))
            gradient = gradient.where((moved >= low) & (moved <= high), 0).mean(0, keepdim=True)
            now = now + length * steepest(gradient, norm)
            # beyond the width of the range nothing changes
            now = project(torch.zeros_like(now), now, norm, radius, (low - high, high - low))
        rate = fooling_rate(target, images[rows], goal[rows], now[0])
        if not rate <= best_rate:
            best, best_rate = now, rate
    return UniversalResult(best[0], best_rate)


@entrance
def image_by_image(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    rate: float = 0.8,
    epochs: int = 10,
    steps: int = 50,
    overshoot: float = 0.02,
    seed: int = 0,
) -> UniversalResult:
    """The algorithm of arXiv:1610.08401: to every image that stands, what DeepFool lacks is added, and projected.

    v <- project(v + r), r the least L2 step that takes the image, with v on it, over the nearest boundary. In passes
    over the images in random order, until enough are fooled; the best pass wins. Where the images with v leave the
    bounds they are clipped before DeepFool sees them.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around the origin in which v must lie; its norm is "l1", "l2" or "linf".
        rate: The fooling rate that is enough, above 0, up to 1.
        epochs: The most passes, from 1.
        steps: The most steps of DeepFool for an image, from 1.
        overshoot: See `deepfool`.
        seed: The seed of the order of the images.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
    """
    norm, radius = within_norm(ball), ball.require_one_radius()
    number(rate, "rate", above=0, most=1)
    integer(epochs, "epochs", 1)
    target.require_gradients()
    active, _, _ = start(target, images, goal)
    low, high = target.limits(images)
    drawn, rows = generator(seed, images.device), active.nonzero().squeeze(1)
    best = now = torch.zeros_like(images[:1])
    best_rate = float("nan")
    for _ in range(epochs if len(rows) else 0):
        for row in rows[torch.randperm(len(rows), generator=drawn, device=images.device)].split(1):
            moved = (images[row] + now).clamp(low, high)
            step = deepfool(target, moved, goal[row], "l2", steps=steps, overshoot=overshoot).x_adv - moved
            now = project(torch.zeros_like(now), now + step, norm, radius, (low - high, high - low))
        reached = fooling_rate(target, images[rows], goal[rows], now[0])
        if not reached <= best_rate:
            best, best_rate = now, reached
        if best_rate >= rate:
            break
    return UniversalResult(best[0], best_rate)


@entrance
def one_for_all(target: Target, images: Tensor, goal: Goal, ball: Ball, *, seed: int = 0) -> AttackResult:
    """`universal` as an attack within a ball: the perturbation is made on these images, and added to them.

    It is made for the largest radius, and shorter in proportion for images of a smaller one. Its queries are those of a
    single forward an image; what finding the perturbation took is not counted.
    """
    made = universal(target, images, goal, Ball(ball.norm, ball.largest), seed=seed).perturbation
    share = ball.radii(images) / ball.largest if ball.largest else torch.ones(len(images), device=images.device)
    return _added(target, images, goal, spread(share.to(images.dtype), images) * made, ball)


def _added(target: Target, images: Tensor, goal: Goal, moves: Tensor, ball: Ball | None = None) -> AttackResult:
    """What comes of adding moves, [*shape] or [batch, *shape], to the images that have to be attacked."""
    active, queries, iterations = start(target, images, goal)
    moved = (images + moves.to(images)).clamp(*target.limits(images))
    found = torch.where(spread(active, images), moved, images)
    return conclude(target, images, found, goal, queries, iterations, ball)


def _gain(logits: Tensor, goal: Goal, enough: float) -> Tensor:
    return (goal.sign * margin(logits, goal.classes)).clamp_max(enough)
