"""Ascent whose effort follows what the runs so far found: adaptive auto attack (Liu et al., arXiv:2203.05154)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.ball.climb import Step
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import parts
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import cross_entropy, logit, margin, others
from plaintext_models.attacks.core.norms import project, random_point, steepest, within_norm
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import generator

LEAD = 7  # steps from a random point to where a run starts
PULL = 0.8  # weight of the class that a start is pulled to; of the others -1 to 1, of the label -0.5 to 0.1
PATIENCE = 2.0  # largest gains of the last runs that an image may be away from the boundary, and not be hopeless
SURE = 4  # runs before any image is given up, and whose gains count: what a single run gains is chance


@entrance
def adaptive(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    forwards: int = 800,
    steps: int = 25,
    seed: int = 0,
) -> AttackResult:
    """Many short runs, each from where and towards what those before it suggest, on the images that promise most.

    The first run climbs the margin from the image itself. Every other starts at a random point that a few steps have
    pulled towards one class and turned by random weights of the others' logits; it climbs the margin, or that of the
    class alone. Which class: the one that the image came nearest to, or, as likely as it happened, one that images of
    the same label have ended as. With a target it is that, and its cross-entropy is descended in place of climbing its
    logit alone. Steps shrink as half a cosine.

    The largest gain of any image in the last four runs, in units of the margin, says what another run may still bring:
    what is farther than twice that from its boundary is hopeless, and dropped. So forwards go to the few images that
    are near, where the paper sorts them and drops a fixed part. Images fall by leaps: one run in which nothing gained
    says nothing of the next.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds. What they tell about each other saves forwards: give all at once.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        forwards: The most forwards of an image, from 1.
        steps: How many steps a run takes, from 1.
        seed: The seed of starts and of what they are pulled to.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range, another norm; or where `start` raises it.
    """
    within_norm(ball)
    integer(forwards, "forwards", 1)
    integer(steps, "steps", 1)
    target.require_gradients()
    active, queries, iterations = start(target, images, goal)
    if not ball.largest:
        return conclude(target, images, images, goal, queries, iterations, ball)
    hunt = _Hunt(target, images, goal, ball, queries, iterations, generator(seed, images.device))
    rows, run, gains = active.nonzero().squeeze(1), 0, deque[float](maxlen=SURE)
    while len(rows):
        before = hunt.best[rows]
        for part in parts(rows, images):
            hunt.run(part, min(steps, forwards - 1 if not run else steps), first=not run)
        gains.append(float((hunt.best[rows] - before).max()))
        left, run = ~hunt.done[rows], run + 1
        if run > SURE:
            left &= hunt.best[rows] >= -PATIENCE * max(gains)
        rows = rows[left & (queries[rows] + LEAD + steps + 1 <= forwards)]
    return conclude(target, images, hunt.found, goal, queries, iterations, ball)


@dataclass(eq=False)
class _Hunt:
    """What the runs so far found.

    Attributes:
        target: The model.
        images: Clean images [batch, *shape].
        goal: What is to be reached.
        ball: The ball.
        queries: See `AttackResult`.
        iterations: See `AttackResult`.
        generator: Draws all that is random.
    """

    target: Target
    images: Tensor
    goal: Goal
    ball: Ball
    queries: Tensor
    iterations: Tensor
    generator: torch.Generator

    def __post_init__(self) -> None:
        self.found = self.images.clone()
        self.done = torch.zeros_like(self.goal.labels, dtype=torch.bool)
        self.near = self.ends = torch.empty(0)  # known with the first logits

    @property
    def best(self) -> Tensor:
        """The largest margin of every image so far, [batch]; minus infinity before the first run."""
        if not self.near.numel():
            return torch.full_like(self.goal.labels, -torch.inf, dtype=torch.float64)
        if self.goal.targets is None:
            return self.near.amax(1)
        return logit(self.near, self.goal.targets)

    def run(self, rows: Tensor, steps: int, *, first: bool) -> None:
        """Climb once from every image of the rows; those that reach the goal are done."""
        aims = torch.full_like(rows, -1) if first and self.goal.targets is None else self._aims(rows)
        moved = self.images[rows] if first else self._start(rows, aims)
        aims = torch.where(torch.rand(len(rows), **self._drawn) < 0.5, aims, -1)
        rule = Step(self.images[rows], ball=self.ball[rows], limits=self.target.limits(self.images), share=1)
        for step in range(steps + 1):
            goals, wanted = self.goal[rows], aims

            def loss(logits: Tensor, goals: Goal = goals, wanted: Tensor = wanted) -> Tensor:
                if goals.targets is not None:
                    losses = margin(logits, goals.targets), cross_entropy(logits, goals.targets)
                    return -torch.where(wanted < 0, *losses)
                rivals = others(logits, goals.labels)
                chosen = torch.where(wanted < 0, rivals.argmax(1), wanted)
                return logit(logits, chosen) - logit(logits, goals.labels)

            gradient, logits = self.target.gradient(moved, loss)
            self.queries[rows] += 1
            left = ~self._noted(rows, moved, logits)
            if not left.any() or step == steps:
                return
            if not left.all():
                rows, moved, gradient, aims = (values[left] for values in (rows, moved, gradient, aims))
                rule.keep(left)
            moved = rule.along(moved, gradient, spread((1 + math.cos(math.pi * step / steps)) * rule.size, moved))
            self.iterations[rows] += 1

    @property
    def _drawn(self) -> dict[str, Any]:
        return {"generator": self.generator, "device": self.images.device, "dtype": torch.float32}

    def _noted(self, rows: Tensor, moved: Tensor, logits: Tensor) -> Tensor:
        """Remember what the logits say of the rows' points; which of them [n] reach the goal."""
        goals = self.goal[rows]
        margins = (others(logits, goals.labels) - logit(logits, goals.labels)[:, None]).double()
        if goals.targets is not None:  # which must be above every class, and not above the label alone
            margins.scatter_(1, goals.targets[:, None], -margin(logits, goals.targets)[:, None].double())
        if not self.near.numel():
            classes = logits.shape[1]
            self.near = margins.new_full((len(self.images), classes), -torch.inf)
            self.ends = margins.new_zeros((classes, classes))
        self.near[rows] = torch.maximum(self.near[rows], margins)
        over = goals.reached(logits)
        self.done[rows[over]], self.found[rows[over]] = True, moved[over]
        ended = goals.labels[over], logits[over].argmax(1)
        self.ends.index_put_(ended, torch.ones_like(ended[0], dtype=self.ends.dtype), accumulate=True)
        return over

    def _aims(self, rows: Tensor) -> Tensor:
        """A class for every image [n]: the nearest of another, or one that images of its label have ended as."""
        if self.goal.targets is not None:
            return self.goal.targets[rows]
        labels, gaps = self.goal.labels[rows], self.near[rows]
        gaps = gaps - gaps.amax(1, keepdim=True)
        spreads = -gaps.where(gaps.isfinite(), 0).mean(1, keepdim=True)
        likely = torch.softmax(3 * gaps / spreads.clamp_min(1e-9), 1)  # the nearer in margin, the likelier
        seen = self.ends[labels]
        seen = seen / seen.sum(1, keepdim=True).clamp_min(1)
        chances = (likely + seen).scatter(1, labels[:, None], 0)
        return torch.multinomial(chances.float(), 1, generator=self.generator).squeeze(1)

    def _start(self, rows: Tensor, aims: Tensor) -> Tensor:
        """Points [n, *shape] in the balls, from random ones, after steps along random weights of the logits."""
        images, ball, labels = self.images[rows], self.ball[rows], self.goal.labels[rows]
        norm, radii, limits = within_norm(ball), ball.radii(images), self.target.limits(images)
        moved = ball.only(random_point(images, norm, radii, limits, self.generator), images)
        weights = 2 * torch.rand(len(rows), self.near.shape[1], **self._drawn) - 1
        own = 0.6 * torch.rand(len(rows), 1, **self._drawn) - 0.5
        weights = weights.scatter(1, labels[:, None], own).scatter(1, aims[:, None], PULL).to(images.dtype)
        size = spread(radii.to(images.dtype), images)
        for _ in range(LEAD):
            gradient, logits = self.target.gradient(moved, lambda logits: (weights.to(logits.dtype) * logits).sum(1))
            self.queries[rows] += 1
            self._noted(rows, moved, logits)
            moved = project(images, moved + size * steepest(ball.only(gradient, 0), norm), norm, radii, limits)
        return moved
