"""One gradient, and steps along its sign that grow until the image is misclassified: the least one of those."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, spread
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import reach, steepest
from plaintext_models.attacks.core.search import Search
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import beyond, box_around


@entrance
def growing_fgsm(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2", "linf"],
    *,
    steps: int = 100,
    halvings: int = 10,
    draws: int = 1,
) -> AttackResult:
    """FGSM with a radius that grows until the image reaches the goal, up the cross-entropy at the clean image.

    With `steps=1000, halvings=0` it is what version 1 of foolbox called GradientSignAttack (for "l2", GradientAttack):
    the first of 1,000 equal lengths at which a single forward is fooled. Of a stochastic model that is the first lucky
    draw of up to 1,000; averaging over `draws`, all of which must be fooled, is not so easily pleased.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the step is steepest, see `norms.steepest`.
        steps: How many equally long parts the way to the length of the box is cut into, from 1: for "linf" the width of
            the bounds. The ends of the parts are tried one after the other.
        halvings: How often the part in which the image falls is then halved, from 0.
        draws: Forwards that the gradient is averaged over, and that must all reach the goal, from 1; for targets that
            are stochastic.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range, another norm; or where `start` raises it.
    """
    require_norm(norm, ("l2", "linf"))
    integer(steps, "steps", 1)
    integer(halvings, "halvings", 0)
    target.require_gradients()
    search, limits = Search(target, images, goal, box_around(target), draws=draws), target.limits(images)
    part = reach(limits, images, norm) / steps
    slope, rows = torch.zeros_like(images), search.rows
    if len(rows):
        gradient, _ = target.gradient(images[rows], partial(_loss, goal=goal[rows]), draws)
        slope[rows] = steepest(gradient, norm)
        search.queries[rows] += draws

    def after(rows: Tensor, lengths: Tensor) -> Tensor:
        """Images [len(rows), *shape] after steps of these lengths, [len(rows)]."""
        return (images[rows] + spread(lengths, images).to(images.dtype) * slope[rows]).clamp(*limits)

    length = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    for number in range(1, steps + 1):
        left = search.rows
        if not len(left):
            break
        length[left] = number * part
        search.ask(left, after(left, length[left]))
        search.iterations[left] += 1
    fallen = rows[~search.active[rows]]
    high, aim = length[fallen], goal[fallen]
    low = high - part
    for _ in range(halvings if len(fallen) else 0):
        middle = (low + high) / 2
        moved = after(fallen, middle)
        with torch.no_grad():
            over = torch.stack([beyond(aim, target.logits(moved)) > 0 for _ in range(draws)]).all(0)
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
        search.queries[fallen] += draws
    search.found[fallen] = after(fallen, high)
    return search.conclude()


def _loss(logits: Tensor, goal: Goal) -> Tensor:
    return goal.sign * cross_entropy(logits, goal.classes)
