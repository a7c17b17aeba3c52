"""The Square attack: random search with squares, for Linf and L2 (Andriushchenko et al., arXiv:1912.00049)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import cross_entropy, margin
from plaintext_models.attacks.core.norms import TINY, project, spread, within_norm
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.search import Search, pixels_of
from plaintext_models.attacks.core.target import Target

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of the squares' area, out of 10,000 steps
TILE = 5  # side of the patterns that an L2 attack starts from, where the image has room for them


@entrance
def square(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    steps: int = 5000,
    area: float = 0.8,
    draws: int = 1,
    seed: int = 0,
) -> AttackResult:
    """Change a random square, keep the change if it helps. It needs no gradient.

    Linf starts from stripes and sets a square to the ball's surface; L2 starts from tiles and moves the length of two
    windows, and what is not used of the radius, into one of them. The squares shrink as the search goes on. The loss is
    the margin, and the cross-entropy of a target.

    Args:
        target: The model.
        images: [batch, channels, height, width], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "linf" or "l2".
        steps: How many steps follow the start, from 0; each takes one query a draw.
        area: The area of the first square, as a fraction of the image, above 0, up to 1.
        draws: Forwards whose losses are averaged, from 1; for targets that are stochastic.
        seed: The seed of the search.

    Raises:
        TypeError: Where `start` raises it.
        ValueError: A number is out of range, another norm, or images that have no pixels; or where `start` raises it.
    """
    _, height, width = pixels_of(images)
    norm, limits = within_norm(ball, ("linf", "l2")), target.limits(images)
    integer(steps, "steps", 0)
    number(area, "area", above=0, most=1)
    search = Search(target, images, goal, ball, seed=seed, draws=draws)
    loss = margin if goal.targets is None else cross_entropy
    begin, change = (_stripes, _set) if norm == "linf" else (_tiles, _shift)
    rows = search.rows
    if not len(rows):
        return search.conclude()
    radii = ball.radii(images).to(images.dtype)
    moves = begin(images[rows], spread(radii[rows], images), search.generator)
    now = search.allowed(rows, project(images[rows], images[rows] + moves, norm, radii[rows], limits))
    scores = search.ask(rows, now, loss)
    for step in range(steps):
        left = search.active[rows]
        rows, now, scores = rows[left], now[left], scores[left]
        if not len(rows):
            break
        clean, radius = images[rows], spread(radii[rows], images)
        share = area / 2 ** sum(step / steps * 10_000 > after for after in HALVINGS)
        side = min(max(round(math.sqrt(share * height * width)), 1 if norm == "linf" else 3), height, width)
        moved = clean + change(now - clean, side, radius, search.generator)
        tried = search.allowed(rows, project(clean, moved, norm, radii[rows], limits))
        fresh = search.ask(rows, tried, loss)
        search.iterations[rows] += 1
        better = fresh > scores
        scores = torch.where(better, fresh, scores)
        now = torch.where(better[:, None, None, None], tried, now)
    left = search.active[rows]
    search.found[rows[left]] = now[left]  # of draws that do not agree, the nearest to the goal
    return search.conclude()


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator, device=generator.device).float() * 2 - 1


def _windows(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """The places [batch, side²] of a random square window of every image, rows after each other."""
    batch, _, height, width = images.shape
    top, left = (
        torch.randint(0, size - side + 1, (batch, 1, 1), generator=generator, device=images.device)
        for size in (height, width)
    )
    along = torch.arange(side, device=images.device)
    return ((top + along[:, None]) * width + left + along).flatten(1)


def _stripes(images: Tensor, radius: Tensor, generator: torch.Generator) -> Tensor:
    batch, channels, _, width = images.shape
    return radius * _signs((batch, channels, 1, width), generator).to(images.dtype).expand_as(images)


def _set(moves: Tensor, side: int, radius: Tensor, generator: torch.Generator) -> Tensor:
    """A window at one corner of the Linf ball, a sign a channel."""
    batch, channels = moves.shape[:2]
    places = _windows(moves, side, generator)[:, None].expand(-1, channels, -1)
    signs = _signs((batch, channels, 1), generator).expand_as(places).to(moves.dtype)
    return moves.flatten(2).scatter(2, places, radius.flatten(2) * signs).reshape(moves.shape)


def _bump(height: int, width: int) -> Tensor:
    """A hill [height, width] that falls off from its middle as the sum of 1 / k² (the paper's eq. 2)."""
    half = height // 2
    row, column = torch.arange(height)[:, None], torch.arange(width)
    rings = half - torch.maximum((row - half).abs(), (column - width // 2).abs())
    terms = 1 / torch.arange(half + 1, 0, -1, dtype=torch.float32).square()
    return torch.cat([terms.new_zeros(1), terms.cumsum(0)])[(rings + 1).clamp_min(0)]


def _pattern(count: int, side: int, generator: torch.Generator) -> Tensor:
    """A hill beside a valley, of length 1, upright or lying: [count, 1, side²]."""
    half = side // 2
    both = (
        torch.cat([_bump(side, half), -_bump(side, side - half)], 1) if half else torch.ones(1, 1, dtype=torch.float32)
    )
    both = (both / torch.linalg.vector_norm(both)).to(generator.device)
    lying = torch.rand(count, 1, 1, generator=generator, device=generator.device, dtype=torch.float32) < 0.5
    return torch.where(lying, both.T, both).reshape(count, 1, -1)


def _tiles(images: Tensor, radius: Tensor, generator: torch.Generator) -> Tensor:
    """Patterns side by side, a sign a channel, together as long as the radius."""
    batch, channels, height, width = images.shape
    side = min(TILE, height, width)
    moves = torch.zeros_like(images)
    for top in range((height % side) // 2, height - side + 1, side):
        for left in range((width % side) // 2, width - side + 1, side):
            tile = _pattern(batch, side, generator) * _signs((batch, channels, 1), generator)
            moves[:, :, top : top + side, left : left + side] = tile.reshape(batch, channels, side, side)
    return radius * moves / torch.linalg.vector_norm(moves.flatten(1), dim=1)[:, None, None, None]


def _shift(moves: Tensor, side: int, radius: Tensor, generator: torch.Generator) -> Tensor:
    """One window emptied, its length and the unused radius added to another (the paper's Algorithm 3)."""
    batch, channels = moves.shape[:2]
    flat = moves.flatten(2)
    into, out = (_windows(moves, side, generator)[:, None].expand(-1, channels, -1) for _ in range(2))
    unused = (radius.flatten().square() - flat.square().sum((1, 2))).clamp_min(0)
    emptied = flat.scatter(2, out, 0).scatter(2, into, 0)
    available = (flat.square() - emptied.square()).sum(2) + unused[:, None] / channels
    held = flat.gather(2, into)
    held = held / torch.linalg.vector_norm(held, dim=2, keepdim=True).clamp_min(TINY)
    fresh = _pattern(batch, side, generator) * _signs((batch, channels, 1), generator) + held
    fresh = fresh / torch.linalg.vector_norm(fresh, dim=2, keepdim=True).clamp_min(TINY)
    return emptied.scatter(2, into, fresh * available.clamp_min(0).sqrt()[:, :, None]).reshape(moves.shape)
