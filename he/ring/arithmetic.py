"""Arithmetic modulo a prime t of at most 50 bits on int64 arrays, without integers that are wider."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: The most bits of a modulus. Residues and quotients are then exact in float64, with bits to spare.
MAX_BITS = 50

_LIMB = 17  # bits: fewer than 2^21 products of two are added exactly by float64 and its fast BLAS


def centred(values: np.ndarray, t: int) -> np.ndarray:
    """Return integers in their centred form modulo t, within +-t / 2: int64, also of Python's integers."""
    half = t // 2
    return np.asarray((values + half) % t - half, np.int64)


def product(a: np.ndarray, b: np.ndarray | int, t: int) -> np.ndarray:
    """Return the products, element by element, of integers within +-t: residues from 0 to t - 1.

    The quotient by t comes from float64 and is wrong by less than one. The product and the multiple of t wrap around
    2^64 alike, so that their difference is right.
    """
    if t < 1 << 31:
        return a * b % t
    quotient = np.rint(np.asarray(a, np.float64) * b / t).astype(np.int64)
    return (a * b - quotient * t) % t


def matrix_product(a: np.ndarray, b: np.ndarray, t: int) -> np.ndarray:
    """Return the matrix product modulo t of centred residues int64 [m, k] and [k, n], for k below 2^21: int64 [m, n].

    Numbers are cut into limbs, as many as the largest needs, and limbs are multiplied in float64.
    """
    total = np.zeros((len(a), b.shape[1]), np.int64)
    right = list(_limbs(b))
    for i, x in enumerate(_limbs(a)):
        for j, y in enumerate(right):
            part = (x @ y).astype(np.int64) % t
            total += product(part, pow(2, _LIMB * (i + j), t), t) if i + j else part
    return total % t


def _limbs(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the limbs of integers as float64, the lowest first; they are from -2^16 to 2^16 - 1."""
    half = 1 << (_LIMB - 1)
    while values.any():
        low = ((values + half) & (2 * half - 1)) - half
        yield low.astype(np.float64)
        values = (values - low) >> _LIMB
