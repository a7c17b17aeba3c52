"""The Jacobian saliency map attack: few elements, moved two by two (Papernot et al., arXiv:1511.07528)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from plaintext_models.attacks.core.ball import Ball, require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import logit, others
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.search import Search
from plaintext_models.attacks.core.target import Target


@entrance
def jsma(target: Target, images: Tensor, goal: Goal, ball: Ball, *, theta: float = 1.0) -> AttackResult:
    """Move the pair of elements that together raise the wanted class's logit and lower the sum of the others most.

    The paper's Algorithm 3 on logits, whose Jacobian does not vanish where the model is very sure. An untargeted goal
    is pursued by aiming at the clean image's second class, and reached by any wrong one.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds; an element is one channel of a pixel.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l0", and its radius the most elements that may change. The
            paper's γ is the radius as a fraction of all elements, 0.145 there.
        theta: What is added to both elements of a pair, not 0; elements that are at the bound already are not taken.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
    """
    if not number(theta, "theta"):
        raise ValueError(f"`theta` must be a number other than 0, got {theta}")
    require_norm(ball.norm, ("l0",))
    elements, most = images[0].numel(), (ball.radii(images) / 2).long()  # pairs
    search = Search(target, images, goal, ball)
    for rows in search.groups(elements):  # its pairs may take as much memory as so many images
        moved, aims = images[rows], goal.classes[rows]
        if goal.targets is None:
            with torch.no_grad():
                aims = others(target.logits(moved), aims).argmax(1)
            search.queries[rows] += 1
        for step in range(int(most[rows].max())):
            left = most[rows] > step
            rows, moved, aims = rows[left], moved[left], aims[left]
            if not len(rows):
                break
            pairs, found = _pairs(target, moved, aims, theta, ball[rows])
            search.queries[rows] += 2
            moved = moved.flatten(1).scatter_add(1, pairs, torch.full_like(pairs, theta, dtype=moved.dtype))
            moved = moved.reshape(-1, *images.shape[1:]).clamp(*target.limits(images))[found]
            rows, aims = rows[found], aims[found]  # an image without such a pair is given up
            if not len(rows):
                break
            search.ask(rows, moved)
            search.iterations[rows] += 1
            left = search.active[rows]
            rows, moved, aims = rows[left], moved[left], aims[left]
    return search.conclude()


def _pairs(target: Target, images: Tensor, wanted: Tensor, theta: float, ball: Ball) -> tuple[Tensor, Tensor]:
    """The most salient pair [batch, 2] of every image, and whether there is one [batch]."""
    low, high = target.limits(images)
    rise, _ = target.gradient(images, partial(logit, classes=wanted))
    rest, _ = target.gradient(images, lambda logits: logits.sum(1) - logit(logits, wanted))
    free = ball.only(images < high if theta > 0 else images > low, False).flatten(1)
    sign = 1 if theta > 0 else -1
    up, down = (torch.where(free, change.flatten(1), -torch.inf) for change in (sign * rise, -sign * rest))
    return salient_pairs(up, down)


def salient_pairs(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Maximise (up_p + up_q) (down_p + down_q) over pairs of which both sums are positive, without trying all.

    An element to which two others are equal or better, both up and down, is never needed: one of the two can take its
    place in any pair. Few are left, and they are seen in one pass from the greatest `up` on, with the second greatest
    `down` so far at hand.

    Args:
        up: [batch, elements]; minus infinity, here and in `down`, for one that is not to be taken.
        down: [batch, elements].

    Returns:
        A pair [batch, 2], and whether there is one [batch].
    """
    order = up.argsort(1, descending=True)
    sorted_down = down.gather(1, order)
    none = torch.full_like(down[:, :1], -torch.inf)
    largest = torch.cat([none, sorted_down.cummax(1).values[:, :-1]], 1)
    second = torch.cat([none, torch.minimum(sorted_down, largest).cummax(1).values[:, :-1]], 1)
    needed = sorted_down > second
    count = int(needed.sum(1).max().clamp_min(1))
    few = order.gather(1, needed.to(up.dtype).topk(count, 1).indices)
    ups, downs = (values[:, :, None] + values[:, None, :] for values in (up.gather(1, few), down.gather(1, few)))
    useful = (ups > 0) & (downs > 0) & ~torch.eye(count, dtype=torch.bool, device=up.device)
    # in float64: the product of small numbers would round to nothing
    saliency, best = torch.where(useful, ups.double() * downs.double(), 0).flatten(1).max(1)
    return few.gather(1, torch.stack([best // count, best % count], 1)), saliency > 0
