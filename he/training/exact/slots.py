"""Numbers modulo t as slots of BFV: samples in both halves, and packed pairs of weights and totals."""

from __future__ import annotations

import numpy as np

from he.engines.rns.encode import decode_exact, encode_exact
from he.kernels.tables.roots import least_root
from he.ring.arithmetic import product
from he.ring.slots import packed_places
from intnn.values.arrays import Array, IntArray


def sample_slots(numbers: IntArray, N: int) -> IntArray:
    """Return the slots of one number for every sample, int64 [n]: in the same place of both rows, and 0 behind them."""
    slots = np.zeros((2, N // 2), np.int64)
    slots[:, : len(numbers)] = numbers
    return slots.ravel()


def packed_slots(first: Array, second: Array, N: int, t: int) -> IntArray:
    """Return the slots of packed pairs, [count] each: the first numbers are for the first half, when expanded."""
    count, half = len(first), pow(2, -1, t)
    a, b = (np.asarray(numbers % t, np.int64) for numbers in (first, second))
    coefficients, places = np.zeros(N, np.int64), packed_places(N, count)
    coefficients[places] = product((a + b) % t, half, t)
    coefficients[places + N // 2] = product(a - b, half * pow(_unit(N, t), -1, t) % t, t)
    return decode_exact(coefficients, t)


def packed_pairs(slots: IntArray, count: int, t: int) -> tuple[IntArray, IntArray] | None:
    """Return the pairs of totals that one polynomial holds, from 0 to t - 1; None if it holds anything else."""
    N, places = len(slots), packed_places(len(slots), count)
    coefficients = encode_exact(slots, t)
    a, b = coefficients[places], product(coefficients[places + N // 2], _unit(N, t), t)
    coefficients[places], coefficients[places + N // 2] = 0, 0
    return None if coefficients.any() else ((a + b) % t, (a - b) % t)


def _unit(N: int, t: int) -> int:
    """Return the value of X**(N / 2) in the first half (`he.ring.slots.halves`)."""
    return pow(least_root(N, t), N // 2, t)
