"""The diagonals of a linear map's matrix, by which it is evaluated on packed vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from he.compiler.linear import LinearMap, width_of


class Diagonals(NamedTuple):
    """A linear map by the diagonals of its matrix, which has a period of `width` columns and of `out_width` rows.

    Diagonal d meets the input rotated by d: at unit u it has the term of row u and column u + d.

    Attributes:
        linear: the linear map.
        width: the period of the input, a power of two.
        out_width: the period of the output, a power of two.
        unit: int64 [terms], the unit of every term on its diagonal.
        terms: the terms of every diagonal that has any.
    """

    linear: LinearMap
    width: int
    out_width: int
    unit: np.ndarray
    terms: dict[int, np.ndarray]

    @staticmethod
    def of_all(linear: LinearMap, widths: Sequence[int]) -> list[Diagonals]:
        """Return the diagonals of a map for each value that it reads; all count as periodic in the longest period."""
        width = max(widths)
        if len(widths) == 1:
            return [Diagonals.of(linear, width)]
        return [Diagonals.of(linear.part(number), width) for number in range(len(widths))]

    @staticmethod
    def of(linear: LinearMap, width: int) -> Diagonals:
        """Return the diagonals of a map whose input has this period."""
        out_width = width_of(linear)
        if not len(linear.weights):  # all that is read of a branch may be padding
            return Diagonals(linear, width, out_width, linear.rows, {})
        count = min(width, out_width)
        diagonal = (linear.columns - linear.rows) % count
        before = _before_first(np.unique(diagonal), count)
        diagonal = (diagonal + before) % count - before
        unit = (linear.columns - diagonal) % width if width >= out_width else linear.rows
        order = np.argsort(diagonal, kind="stable")
        present, begins = np.unique(diagonal[order], return_index=True)
        terms = dict(zip(present.tolist(), np.split(order, begins[1:]), strict=True))
        return Diagonals(linear, width, out_width, unit, terms)

    def weights(self, diagonal: int) -> np.ndarray:
        """Return the weights of a diagonal, float64 [units], where units are the longer of both periods."""
        at = self.terms[diagonal]
        weights = np.zeros(max(self.width, self.out_width))
        weights[self.unit[at]] = self.linear.weights[at]
        return weights


def _before_first(diagonals: np.ndarray, count: int) -> int:
    """Return how many diagonals, counted down from the last of `count`, lie next to the first: they become negative.

    With a border, a convolution reads to either side of its pixel; its taps are neighbours all the same.
    """
    gaps = np.diff(np.append(diagonals, diagonals[0] + count))
    widest = np.flatnonzero(gaps == gaps.max())
    after = np.roll(diagonals, -1)[widest]  # what begins behind the widest gaps
    return int(np.min(-after % count))
