"""The definition of a step of a network of squares in plain Python integers; `step` has the same functions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from intnn.training.limits import VELOCITY_LIMIT
from intnn.training.squares.plan import FRACTION, SquarePlan
from intnn.training.step import Rate
from intnn.values.arrays import Array, IntArray

Rows = list[list[int]]


def gradients(
    plan: SquarePlan, x: IntArray, labels: IntArray, first: IntArray, second: IntArray
) -> tuple[Array, Array]:
    """The gradients G_V [features, hidden] and G_W [hidden + 1, classes]; see `step.gradients`."""
    xs, v, w = x.tolist(), first.tolist(), second.tolist()
    found_v, found_w = [[0] * plan.hidden for _ in v], [[0] * plan.classes for _ in w]
    for row, label in zip(xs, labels.tolist(), strict=True):
        units = [sum(a * column[k] for a, column in zip(row, v, strict=True)) for k in range(plan.hidden)]
        squares = [*(u * u for u in units), plan.bias]
        residuals = [
            sum(q * weights[c] for q, weights in zip(squares, w, strict=True))
            - plan.target * (plan.classes - 1 if c == label else -1)
            for c in range(plan.classes)
        ]
        errors = [sum(r * a for r, a in zip(residuals, weights, strict=True)) for weights in w[:-1]]
        _add_outer(found_v, row, [u * e for u, e in zip(units, errors, strict=True)])
        _add_outer(found_w, squares, residuals)
    return np.array(found_v, object), np.array(found_w, object)


def moved(master: int, velocity: int, gradient: int, rate: Rate, momentum_shift: int, limit: int) -> tuple[int, int]:
    """One master weight and its velocity behind a step; see `step.updated`."""
    kept = velocity - velocity // 2**momentum_shift
    by_rate = math.floor(Fraction(gradient * rate.mantissa) / Fraction(2) ** rate.shift + Fraction(1, 2))
    velocity = _within(kept + _within(by_rate, VELOCITY_LIMIT), VELOCITY_LIMIT)
    return _within(master - velocity, limit << FRACTION), velocity


def _within(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)


def _add_outer(sums: Rows, left: list[int], right: list[int]) -> None:
    for total, a in zip(sums, left, strict=True):
        for k, b in enumerate(right):
            total[k] += a * b
