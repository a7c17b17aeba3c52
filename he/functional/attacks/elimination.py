"""Linear equations between bounded integers, solved exactly."""

from __future__ import annotations

import numpy as np

from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain

PRIME = 2**31 - 1


def solve(matrix: IntArray, right: IntArray, unknowns: IntDomain) -> tuple[IntArray, Array]:
    """The unknowns that the equations ``matrix`` x = ``right`` determine, by elimination modulo a prime.

    What holds between integers holds modulo the prime 2**31 - 1. So an unknown that has one value modulo the prime, and
    lies in a range that is smaller, has that value: nothing is rounded, and no other integers fulfil the equations.
    (An unknown that is determined over the rationals, but not modulo the prime, would be left out; between random
    equations that happens with a chance near 2**-31.)

    Args:
        matrix: int64 [equations, n].
        right: int64 [equations, columns].
        unknowns: The integers that an unknown may be, fewer than 2**31 - 1 of them.

    Returns:
        The unknowns, int64 [n, columns], zero where they are not determined; and which of the n are, bool [n].

    Raises:
        ValueError: No integers of that range fulfil the equations, or the range is too large.
    """
    if unknowns.size >= PRIME:
        raise ValueError(f"`unknowns` must be fewer than {PRIME} integers, got {unknowns}")
    n = matrix.shape[1]
    rows, pivots = _echelon(np.concatenate([matrix % PRIME, right % PRIME], axis=1), n)
    if rows[len(pivots) :, n:].any():
        raise ValueError("the equations contradict each other: they come from no integers")
    free = np.setdiff1d(np.arange(n), pivots)
    alone = ~rows[: len(pivots), free].any(axis=1)
    found, determined = np.zeros((n, right.shape[1]), np.int64), np.zeros(n, bool)
    determined[np.array(pivots, np.int64)[alone]] = True
    found[determined] = unknowns.lo + (rows[: len(pivots), n:][alone] - unknowns.lo) % PRIME
    if (found[determined] > unknowns.hi).any():
        raise ValueError(f"the equations have no solution in {unknowns}: they come from other integers")
    return found, determined


def rank(matrix: IntArray) -> int:
    """The rank of integers [m, n] modulo the prime: at most the rank over the rationals, and nearly always equal."""
    return len(_echelon(matrix % PRIME, matrix.shape[1])[1])


def _echelon(rows: IntArray, n: int) -> tuple[IntArray, list[int]]:
    """The reduced echelon form modulo the prime, by the first n columns, and the columns of its leading ones.

    Products of residues stay below 2**62.
    """
    pivots: list[int] = []
    for column in range(n):
        here = len(pivots)
        below = np.flatnonzero(rows[here:, column])
        if not below.size:
            continue
        rows[[here, here + below[0]]] = rows[[here + below[0], here]]
        rows[here] = rows[here] * pow(int(rows[here, column]), -1, PRIME) % PRIME
        factors = rows[:, column].copy()
        factors[here] = 0
        others = np.flatnonzero(factors)
        rows[others] = (rows[others] - factors[others, None] * rows[here]) % PRIME
        pivots.append(column)
    return rows, pivots
