"""Polynomials of a unit that is in a range, by which the values of an activation are bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

_NODES = 16  # for every degree
_LONGEST = 64  # coefficients; what is longer, as of squares of squares, is not followed


@dataclass(frozen=True)
class Series:
    """A polynomial of u / m, where |u| is at most m.

    Multiples of powers reach further, taken one by one, than their sum: a Chebyshev polynomial, which is such a sum,
    stays between -1 and 1.

    Attributes:
        coefficients: those of Chebyshev polynomials, in ascending order.
    """

    coefficients: tuple[float, ...]

    @staticmethod
    def of_unit(magnitude: float) -> Series | None:
        """Return u itself, if it has a bound m."""
        return Series((0.0, magnitude)) if math.isfinite(magnitude) else None

    @staticmethod
    def sum(terms: Sequence[Series | None], factors: Sequence[float], constant: float) -> Series | None:
        """Return a sum of multiples, and of a constant; None if a term is not known."""
        known = tuple(term.coefficients for term in terms if term)
        return Series(_sum(known, tuple(factors), constant)) if len(known) == len(terms) else None

    @staticmethod
    def product(a: Series | None, b: Series | None) -> Series | None:
        """Return a product; None if a factor is not known, or it is of a high degree."""
        if not (a and b) or len(a.coefficients) + len(b.coefficients) > _LONGEST:
            return None
        return Series(_product(a.coefficients, b.coefficients))

    @property
    def bound(self) -> float:
        """A bound on the absolute values."""
        return _bound(self.coefficients)


# A program has the same few polynomials of thousands of units, and is read at hundreds of scales.


@lru_cache(1 << 12)
def _sum(terms: tuple[tuple[float, ...], ...], factors: tuple[float, ...], constant: float) -> tuple[float, ...]:
    total = np.zeros(max(map(len, terms)))
    total[0] = constant
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows bounds nothing
        for term, factor in zip(terms, factors, strict=True):
            total[: len(term)] += factor * np.array(term)
    return tuple(total.tolist())


@lru_cache(1 << 12)
def _product(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    with np.errstate(over="ignore", invalid="ignore"):
        return tuple(chebyshev.chebmul(a, b).tolist())


@lru_cache(1 << 12)
def _bound(coefficients: tuple[float, ...]) -> float:
    """Bound |p| on [-1, 1] by its values at n Chebyshev nodes, of which there are more than its degree d.

    Between nodes, p is at most 1 / cos(pi d / 2 n) times as large (Ehlich and Zeller, *Schwankung von Polynomen
    zwischen Gitterpunkten*, Mathematische Zeitschrift 1964).
    """
    nodes = _NODES * len(coefficients)
    with np.errstate(over="ignore", invalid="ignore"):
        values = chebyshev.chebval(np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes), coefficients)
    return float(np.abs(values).max()) / math.cos(math.pi / (2 * _NODES))
