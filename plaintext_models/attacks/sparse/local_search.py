"""Greedy local search over pixels (Narodytska and Kasiviswanathan, arXiv:1612.06299)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.grid import Limits
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.search import Search, pixels_of, pixels_within
from plaintext_models.attacks.core.target import Target


@entrance
def local_search(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    factor: float = 1.5,
    chosen: int = 5,
    distance: int = 2,
    fraction: float = 0.1,
    seed: int = 0,
) -> AttackResult:
    """Probe pixels one at a time, change the best of them, go on with their neighbours. It needs no gradient.

    A pixel changes cyclically, as in the paper: times a factor as seen from the middle of the range, and in again at
    the other end where it leaves it. Three things differ: a probe is the change itself, as the paper's lies outside
    the range, where an oracle need not answer; a pixel is changed once; and where no neighbour is left the search
    starts anew at random.

    Args:
        target: The model.
        images: [batch, channels, height, width], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l0", and its radius the most elements that may change. The
            search takes as many whole rounds as it has room for; the paper's R is 150 rounds of 5 pixels.
        factor: The factor of a cyclic change, from 0 to 2; the paper's r.
        chosen: How many pixels are changed in a round, all channels of each, from 1; the paper's t.
        distance: How far neighbours are, in rows and in columns, from 1; the paper's d.
        fraction: The fraction of the pixels that are probed where the search starts, from 0 (one pixel) to 1.
        seed: The seed of the starts.

    Raises:
        TypeError: Where `start` raises it.
        ValueError: A number is out of range, or images that have no pixels; or where `start` raises it.
    """
    channels, height, width = pixels_of(images)
    number(factor, "factor", least=0, most=2)
    number(fraction, "fraction", least=0, most=1)
    integer(chosen, "chosen", 1)
    integer(distance, "distance", 1)
    rounds, limits = pixels_within(ball, images) // chosen, target.limits(images.flatten(2))
    places = height * width
    first = max(1, round(fraction * places))
    search = Search(target, images, goal, ball, seed=seed)
    for rows in search.groups(max(first, min(places, chosen * (2 * distance + 1) ** 2))):
        now = images[rows].flatten(2)
        free = ball[rows].only(torch.ones_like(images[rows], dtype=torch.bool), False).any(1).flatten(1)
        near = torch.zeros_like(free)
        for step in range(int(rounds[rows].max())):
            left = search.active[rows] & free.any(1) & (rounds[rows] > step)
            rows, now, free, near = rows[left], now[left], free[left], near[left]
            if not len(rows):
                break
            keys = torch.rand(free.shape, generator=search.generator, device=images.device, dtype=torch.float32) + free
            anywhere = torch.zeros_like(free).scatter(1, keys.topk(first).indices, True)
            near = torch.where((near & free).any(1, keepdim=True), near, anywhere) & free
            moved = _cyclic(now, factor, limits)
            image, place = near.nonzero(as_tuple=True)
            only = functional.one_hot(place, places).bool()[:, None]
            probes = torch.where(only, moved[image], now[image]).reshape(-1, channels, height, width)
            scores = torch.full(free.shape, -torch.inf, device=images.device, dtype=torch.float64)
            scores[near] = search.ask(rows[image], probes).to(scores.dtype)
            best = torch.zeros_like(free).scatter(1, scores.topk(min(chosen, places)).indices, True) & near
            now, free = torch.where(best[:, None], moved, now), free & ~best
            around = best.reshape(-1, 1, height, width).float()
            near = functional.max_pool2d(around, 2 * distance + 1, 1, distance).flatten(1) > 0
            search.iterations[rows] += 1
            left = search.active[rows]  # not one of those whose probe was enough
            if left.any():
                search.ask(rows[left], now[left].reshape(-1, channels, height, width))
    return search.conclude()


def _cyclic(values: Tensor, factor: float, limits: Limits) -> Tensor:
    low, high = limits
    moved = factor * (values - (low + high) / 2) + (low + high) / 2
    return (moved + (high - low) * ((moved < low).to(moved.dtype) - (moved > high).to(moved.dtype))).clamp(low, high)
