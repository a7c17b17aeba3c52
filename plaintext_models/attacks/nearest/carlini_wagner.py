"""Carlini and Wagner's attacks for L2, L0 and Linf, without the change of variables (arXiv:1608.04644)."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Measure, require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import others
from plaintext_models.attacks.core.norms import TINY, lengths
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import LEAST, beyond, box_around

FACTOR = 4.0  # between constants, until one is known that is too small and one that is large enough
NARROW = 1.1  # between two such constants: the search is over
HEAVY = 100.0  # times the constant of L2, that of L0
STRIDES = 30.0  # a step of Adam is at most so much longer, over all elements, than a linear model's distance
LARGEST = 1e12  # constant, times the margin of the image; what is this flat has no slope, and must not overflow
SHRINK = 0.9  # of the distance that was reached, what Linf asks for next
DROPPED = 0.3  # of the elements still moved, what L0 gives up first
PATIENCE = 0.25  # of a round's steps without a lower objective, after which an image leaves it
LAST_RATE = 0.01  # of the first, where Adam's cosine schedule ends
GAIN = 1e-3  # a lower objective that counts, as a fraction
MOMENT, SQUARES = 0.9, 0.99  # the averages of Adam


@entrance
def carlini_wagner(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2", "l0", "linf"],
    *,
    rounds: int = 20,
    steps: int = 60,
    rate: float = 0.1,
    confidence: float = 0.0,
) -> AttackResult:
    """Minimise size + c · max(confidence - margin, 0) by Adam, over and over, until c and the size fit the image.

    The perturbation itself is optimised and projected into the box: tanh, which the paper puts pixels through, has no
    slope where they are 0 or 1, and most of a drawing is. The first c of an image is what the linear model that its
    gradient makes would need. L2 searches c between too small and large enough. L0 (of elements, a channel of a pixel
    each) is L2 on fewer and fewer elements, without those that moved least for their gradient. Linf punishes what is
    longer than τ, and lowers τ when the goal is reached. An image leaves a round when it gets no better, and the attack
    when its search has come to an end.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the perturbation is to be short.
        rounds: The most rounds, from 1.
        steps: The most steps of a round, from 1; each takes a forward and a backward.
        rate: First step of Adam in an element, positive; it falls to a hundredth. The unit is the range, τ or, where
            the boundary is near, a multiple of its distance: whichever is least.
        confidence: The margin to be reached, in units of the logits, not negative.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range, another norm; or where `start` raises it.
    """
    require_norm(norm, ("l2", "l0", "linf"))
    integer(rounds, "rounds", 1)
    integer(steps, "steps", 1)
    number(rate, "rate", above=0)
    number(confidence, "confidence", least=0)
    active, queries, iterations = start(target, images, goal)
    found = images.clone()
    if active.any():
        search = _Search(target, images[active], goal[active], norm, confidence)
        for _ in range(rounds):
            if not search.open.any():
                break
            search.round(steps, rate)
        found[active] += search.best
        queries[active], iterations[active] = search.queries, search.iterations
    return conclude(target, images, found, goal, queries, iterations, box_around(target))


def linear_model(target: Target, images: Tensor, goal: Goal) -> tuple[Tensor, Tensor, Tensor]:
    """Distance d [batch] to the boundary, were the margin -f linear, c = 2 d / |∇f|, enough for |δ|² + c · f, and f.

    A point on the boundary is taken for one a little before it.
    """
    gradient, logits = target.gradient(images, partial(beyond, goal))
    slope, shortfall = lengths(gradient, "l2").clamp_min(TINY), -beyond(goal, logits).to(gradient)
    distance = (shortfall / slope).clamp_min(LEAST * target.narrowest)
    return distance, 2 * distance / slope, shortfall.clamp_min(TINY)


class Bracket:
    """A constant an image, between one that is too small and one that is large enough.

    Attributes:
        constants: [batch], to be tried next.
    """

    def __init__(self, constants: Tensor, shortfall: Tensor) -> None:
        """Begin at `constants`, with nothing known about them, where the goal is `shortfall` away, [batch] both."""
        self._largest = LARGEST / shortfall
        self.constants = constants.minimum(self._largest)
        self._lower, self._upper = torch.zeros_like(constants), torch.full_like(constants, torch.inf)

    def split(self, rows: Tensor, enough: Tensor) -> Tensor:
        """Note whether the constants of some images were enough; which of them [rows] are worth another try."""
        tried = self.constants[rows]
        self._upper[rows] = upper = torch.where(enough, tried, self._upper[rows])
        self._lower[rows] = lower = torch.where(enough, self._lower[rows], tried)
        between = torch.where(lower > 0, lower.sqrt() * upper.sqrt(), upper / FACTOR)
        self.constants[rows] = torch.where(upper.isinf(), FACTOR * lower, between).minimum(self._largest[rows])
        return upper > NARROW * lower


class _Search:
    """Images under attack.

    Attributes:
        best: [batch, *shape], the smallest perturbation to reach the goal; zeros until there is one.
        open: [batch], whose search goes on.
        queries: See `AttackResult`.
        iterations: See `AttackResult`.
    """

    def __init__(self, target: Target, clean: Tensor, goal: Goal, norm: Measure, confidence: float) -> None:
        self._target, self._clean, self._goal, self._norm, self._confidence = target, clean, goal, norm, confidence
        width = target.width
        distance, constants, shortfall = linear_model(target, clean, goal)
        # more than enough: what is reached from beyond is the nearer; and for L0 the length hardly matters
        self._bracket = Bracket(FACTOR * constants * (HEAVY if norm == "l0" else 1), shortfall)
        self.best, self._start = torch.zeros_like(clean), torch.zeros_like(clean)
        self._size = torch.full_like(self._bracket.constants, torch.inf)  # of `best`
        self._limit = torch.full_like(self._size, width)  # τ
        self._stride = (STRIDES * distance / math.sqrt(clean[0].numel())).clamp_max(width)
        self._hard = torch.zeros_like(self._size, dtype=torch.bool)  # whether it is at its last round
        self._allowed = torch.ones_like(clean, dtype=torch.bool)
        self._share = torch.full_like(self._size, DROPPED)
        self.open = torch.ones_like(self._size, dtype=torch.bool)
        self.queries = torch.ones_like(self._size, dtype=torch.int64)
        self.iterations = torch.zeros_like(self.queries)

    def round(self, steps: int, rate: float) -> None:
        """One descent from where it is now best to start, and what it teaches."""
        rows, before = self.open.nonzero().squeeze(1), self._size.clone()
        reached = self._descend(rows, steps, rate)
        better = (self._size < before)[rows]
        farther = (FACTOR * self._stride).clamp_max(self._target.width)
        self._stride = torch.where(self._size.isinf(), farther, self._stride)
        if self._norm == "l2":
            done = ~self._bracket.split(rows, reached)
            self.open[rows] = ~(done & self._hard[rows])
            # the smooth margin tilts the way a little: once more, with the true one, from the best
            last = rows[done & ~self._hard[rows]]
            self._hard[last], self._start[last] = True, self.best[last]
            self._stride[last] /= STRIDES
            return
        self._bracket.constants[rows] *= torch.where(better, 1, 2)
        (self._lower_limit if self._norm == "linf" else self._drop)(rows, better)

    def _lower_limit(self, rows: Tensor, better: Tensor) -> None:
        """Ask for less than the size reached, and after a failure for half of that reduction."""
        size = self._size[rows]
        limit = torch.where(better, SHRINK * size, (self._limit[rows] + size) / 2)
        self._limit[rows] = limit = torch.where(size.isinf(), self._limit[rows], limit)
        edge = spread(limit, self.best)
        self._start[rows] = self.best[rows].clamp(-edge, edge)
        self.open[rows] = limit < (1 - (1 - SHRINK) / 16) * size

    def _drop(self, rows: Tensor, better: Tensor) -> None:
        """Of the elements that `best` moves, forbid those that moved least for their gradient."""
        best = self.best[rows]
        gradient, _ = self._target.gradient(self._clean[rows] + best, partial(beyond, self._goal[rows]))
        self.queries[rows] += 1
        moved = (best != 0).flatten(1)
        self._share[rows] = share = torch.where(better, self._share[rows], self._share[rows] / 2)
        count = moved.sum(1)
        dropped = (share * count).to(count.dtype).clamp_min(1)
        salience = torch.where(moved, (gradient * best).flatten(1).abs(), -1)
        rank = salience.argsort(1).argsort(1) - (~moved).sum(1, keepdim=True)  # those not moved come first
        found = spread(self._size[rows].isfinite(), best)
        self._allowed[rows] = allowed = (rank >= dropped[:, None]).reshape(best.shape) | ~found
        self._start[rows] = best * allowed
        self.open[rows] = better | (share * count >= 0.5) | ~found.flatten()

    def _descend(self, rows: Tensor, steps: int, rate: float) -> Tensor:
        """Minimise by Adam; which images [rows] reached the goal at any step."""
        low, high = self._target.limits(self._clean)
        reached = torch.zeros_like(rows, dtype=torch.bool)
        at = torch.arange(len(rows), device=rows.device)  # of the images still in this round, their places in `rows`
        delta = self._start[rows]
        mean, square = torch.zeros_like(delta), torch.zeros_like(delta)
        lowest, age = torch.full_like(self._size[rows], torch.inf), torch.zeros_like(rows)
        for step in range(steps):
            now = rows[at]
            clean, constants = self._clean[now], self._bracket.constants[now]
            loss = partial(_shortfall, goal=self._goal[now], confidence=self._confidence, hard=self._hard[now])
            gradient, logits = self._target.gradient(clean + delta, loss)
            self.queries[now] += 1
            self.iterations[now] += 1
            over = beyond(self._goal[now], logits) > self._confidence
            reached[at] |= over
            size = self._measure(now, delta)
            nearer = over & (size < self._size[now])
            self._size[now[nearer]], self.best[now[nearer]] = size[nearer], delta[nearer]
            limit = spread(self._limit[now], delta)
            if self._norm == "linf":
                excess = delta - delta.clamp(-limit, limit)
                punished, slope = excess.abs().flatten(1).sum(1), excess.sign()
            else:
                punished, slope = delta.square().flatten(1).sum(1), 2 * delta
            objective = punished + constants * loss(logits).to(punished)
            slope = slope + spread(constants, delta) * gradient
            mean = mean.lerp(slope, 1 - MOMENT)
            square = square.lerp(slope.square(), 1 - SQUARES)
            width = rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2)
            move = mean / (1 - MOMENT ** (step + 1)) / ((square / (1 - SQUARES ** (step + 1))).sqrt() + TINY)
            stride = width * torch.minimum(limit, spread(self._stride[now], delta))
            delta = (clean + delta - stride * move * self._allowed[now]).clamp(low, high) - clean
            age = torch.where(objective < (1 - GAIN) * lowest, 0, age + 1)
            lowest = torch.minimum(lowest, objective)
            stay = age < PATIENCE * steps
            if not stay.all():
                at, delta, mean, square, lowest, age = (v[stay] for v in (at, delta, mean, square, lowest, age))
                if not len(at):
                    break
        return reached

    def _measure(self, rows: Tensor, delta: Tensor) -> Tensor:
        """Length; for L0 that of L2 decides among those of equally many allowed elements."""
        if self._norm != "l0":
            return lengths(delta, self._norm)
        length = lengths(delta, "l2")
        return self._allowed[rows].flatten(1).sum(1) + length / (1 + length)


def _shortfall(logits: Tensor, goal: Goal, confidence: float, hard: Tensor) -> Tensor:
    """How far the goal is, in units of the logits; 0 where it is reached.

    Unless `hard` [batch], the largest of the other logits is made smooth (their log-sum-exp): descent then does not
    settle for whichever class was nearest to begin with, and finds shorter perturbations.
    """
    own = logits.gather(1, goal.classes[:, None]).squeeze(1)
    rivals = others(logits, goal.classes)
    distance = goal.sign * (own - torch.where(hard, rivals.amax(1), rivals.logsumexp(1)))
    return torch.where(beyond(goal, logits) > confidence, 0, distance + confidence)
