"""HopSkipJump: the nearest adversarial image, from decisions alone (Chen, Jordan and Wainwright, arXiv:1904.02144)."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Norm, require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, examine, start
from plaintext_models.attacks.core.norms import TINY, lengths, spread, steepest
from plaintext_models.attacks.core.search import CANDIDATES
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import tensor
from plaintext_models.attacks.nearest.deepfool import box_around
from plaintext_models.determinism import generator

LEAST = 1e-4  # of the distance to the start: nearer than this to the boundary, forwards in other batches may differ
HALVINGS = 25  # of a step, after which an image stays where it is


@entrance
def hop_skip_jump(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2", "linf"],
    *,
    steps: int = 20,
    draws: int = 100,
    tries: int = 100,
    starts: Tensor | None = None,
    seed: int = 0,
) -> AttackResult:
    """Walk along the boundary, towards the image, by what decisions around a point say of the direction across.

    Algorithm 2 of the paper. An image begins at the nearest of the batch, or of `starts`, that the model decides as
    wanted; if there is none, at random noise that it does. Every step goes back to the boundary by bisection, estimates
    the direction that leads across it from random moves that do and do not, and follows it for a length that is halved
    until the goal is reached. The number of moves grows with the root of the step. It needs no gradient and no logit,
    only the class; see `Target.decisions`.

    Args:
        target: The model.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the perturbation is to be short.
        steps: How many steps are taken, from 0; with none, the first point of the boundary is the result.
        draws: Moves that the first step tries, from 2.
        tries: Random images, at most, that are asked about where no other start is known, from 0.
        starts: More images [n, *shape] to begin from, such as some of the wanted classes. They are asked about once,
            for all images together, which is not counted.
        seed: The seed of starts and moves.

    Raises:
        TypeError: Where `start` raises it.
        ValueError: A number is out of range, another norm, starts of another shape; or where `start` raises it.
    """
    require_norm(norm, ("l2", "linf"))
    integer(steps, "steps", 0)
    integer(draws, "draws", 2)
    integer(tries, "tries", 0)
    decided = examine(target, images, goal.labels)
    active, queries, iterations = start(target, images, goal, decided)
    walk = _Walk(target, images, goal, norm, queries, generator(seed, images.device))
    rows, found = active.nonzero().squeeze(1), images.clone()
    known = images
    if starts is not None:
        given = _shaped(starts, images)
        with torch.no_grad():
            known, decided = torch.cat([images, given]), torch.cat([decided, target.logits(given)])
    if len(rows):
        rows = walk.begin(rows, known, decided, tries)
    for step in range(1, steps + 1 if len(rows) else 1):
        for part in rows.split(max(1, CANDIDATES // (draws * math.ceil(math.sqrt(step))))):
            walk.step(part, step, int(draws * math.sqrt(step)))
            iterations[part] += 1
    found[rows] = walk.best[rows]
    return conclude(target, images, found, goal, walk.queries, iterations, box_around(target))


class _Walk:
    """Images under attack.

    Attributes:
        best: [batch, *shape], the nearest image met that reaches the goal; the clean one until there is one.
        queries: See `AttackResult`.
    """

    def __init__(
        self, target: Target, clean: Tensor, goal: Goal, norm: Norm, queries: Tensor, drawn: torch.Generator
    ) -> None:
        self._target, self._clean, self._goal, self._norm, self._drawn = target, clean, goal, norm, drawn
        self.best, self.queries = clean.clone(), queries
        elements = clean[0].numel()
        # the paper's θ: of the distance, how near bisection goes to the boundary
        self._near = max(LEAST, elements**-1.5 if norm == "l2" else elements**-2.0)

    def begin(self, rows: Tensor, known: Tensor, decided: Tensor, tries: int) -> Tensor:
        """Find a point of the boundary for every image, beginning at known ones whose logits tell how they are decided.

        Returns:
            The images [found] for which there is one.
        """
        near = torch.full((len(self._clean),), torch.inf, dtype=self._clean.dtype, device=rows.device)
        for number in range(len(known)):
            reached = self._goal[rows].reached(decided[number].expand(len(rows), -1))
            self._take(rows[reached], known[number].expand_as(self._clean[rows[reached]]), near)
        low, high = self._target.limits(self._clean)
        for _ in range(tries):
            left = rows[near[rows].isinf()]
            if not len(left):
                break
            uniform = torch.rand(
                self._clean[left].shape, generator=self._drawn, device=rows.device, dtype=torch.float32
            )
            noise = (low + (high - low) * uniform.to(self._clean.dtype)).clamp(low, high)
            reached = self._reached(left, noise)
            self._take(left[reached], noise[reached], near)
        rows = rows[near[rows].isfinite()]
        if len(rows):
            self.best[rows] = self._bisected(rows, self.best[rows])
        return rows

    def _take(self, rows: Tensor, points: Tensor, near: Tensor) -> None:
        """Keep points that reach the goal where they are nearer than what there was."""
        distance = lengths(points - self._clean[rows], self._norm)
        better = distance < near[rows]
        self.best[rows[better]], near[rows[better]] = points[better], distance[better]

    def step(self, rows: Tensor, number: int, draws: int) -> None:
        """One step along the boundary and back to it; what is not nearer than before is forgotten."""
        clean, now = self._clean[rows], self.best[rows]
        distance = lengths(now - clean, self._norm)
        direction = steepest(self._across(rows, now, distance, draws), self._norm)
        length, ahead = distance / math.sqrt(number), now
        left = torch.ones_like(rows, dtype=torch.bool)
        for _ in range(HALVINGS):
            moved = self._clip(now + spread(length, now) * direction)
            over = torch.zeros_like(left)
            over[left] = self._reached(rows[left], moved[left])
            ahead = torch.where(spread(over, now), moved, ahead)
            left = left & ~over
            if not left.any():
                break
            length = torch.where(left, length / 2, length)
        fresh = self._bisected(rows, ahead)
        nearer = lengths(fresh - clean, self._norm) < distance
        self.best[rows] = torch.where(spread(nearer, now), fresh, now)

    def _across(self, rows: Tensor, now: Tensor, distance: Tensor, draws: int) -> Tensor:
        """An estimate of the direction [rows, *shape] that leads across the boundary, from moves around points on it.

        Moves that reach the goal count for it and others against it, both less their mean (the paper's eq. 16).
        """
        shape = (len(rows), draws, *now.shape[1:])
        options: dict[str, Any] = {"generator": self._drawn, "device": rows.device, "dtype": torch.float32}
        moves = torch.randn(shape, **options) if self._norm == "l2" else 2 * torch.rand(shape, **options) - 1
        moves = moves.to(now.dtype)
        moves = moves / lengths(moves.flatten(0, 1), "l2").clamp_min(TINY).reshape(shape[:2] + (1,) * (now.ndim - 1))
        elements = now[0].numel()
        size = distance * self._near * (math.sqrt(elements) if self._norm == "l2" else elements)
        tried = self._clip(now[:, None] + size.reshape(-1, *(1,) * now.ndim) * moves)
        every = rows.repeat_interleave(draws)
        signs = 2 * self._reached(every, tried.flatten(0, 1)).to(now.dtype).reshape(shape[:2]) - 1
        mean = signs.mean(1, keepdim=True)
        weights = torch.where(mean.abs() < 1, signs - mean, signs)  # if all agree, their mean says it all
        # what was clipped did not move as drawn
        moved = (tried - now[:, None]).flatten(2)
        return (weights[:, :, None] * moved).mean(1).reshape(now.shape)

    def _bisected(self, rows: Tensor, points: Tensor) -> Tensor:
        """Points [rows, *shape] that reach the goal, moved towards the clean images until just before the boundary."""
        clean = self._clean[rows]
        reach = lengths(points - clean, self._norm)
        # L2 blends with the clean image; Linf shrinks the cube around it, as the paper does
        low, high = torch.zeros_like(reach), torch.ones_like(reach)
        for _ in range(math.ceil(-math.log2(self._near))):
            middle = (low + high) / 2
            over = self._reached(rows, self._between(clean, points, middle, reach))
            low, high = torch.where(over, low, middle), torch.where(over, middle, high)
        return self._between(clean, points, high, reach)

    def _between(self, clean: Tensor, points: Tensor, share: Tensor, reach: Tensor) -> Tensor:
        step = points - clean
        if self._norm == "l2":
            return self._clip(clean + spread(share, clean) * step)
        limit = spread(share * reach, clean)
        return self._clip(clean + step.clamp(-limit, limit))

    def _clip(self, points: Tensor) -> Tensor:
        return points.clamp(*self._target.limits(self._clean))

    @torch.no_grad()
    def _reached(self, rows: Tensor, points: Tensor) -> Tensor:
        """Which points reach the goal of their images; a query each."""
        self.queries += torch.bincount(rows, minlength=len(self.queries))
        return self._goal[rows].reached(self._target.logits(points))


def _shaped(starts: Tensor, images: Tensor) -> Tensor:
    """Starts in the type and place of images; a ValueError for another shape."""
    starts = tensor(starts, "starts").to(images)
    if starts.shape[1:] != images.shape[1:]:
        raise ValueError(f"`starts` must be [n, {', '.join(map(str, images.shape[1:]))}], got {tuple(starts.shape)}")
    return starts
