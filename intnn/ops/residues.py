"""Networks beyond int64: their layers modulo several primes, and the Chinese remainder theorem.

Four squares in a row reach 2**256. Modulo a prime of 26 bits everything stays small: residues are float64 and centred,
and every sum of products is below 2**53, so that BLAS adds integers up without an error. As many primes as it takes to
tell all outputs apart give the outputs themselves, as Python integers.
"""

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Any

import numpy as np

from intnn.ops import numpy_
from intnn.values.arrays import Array, FloatArray

EXACT = 1 << 53  # float64 holds every integer below, in magnitude
WIDEST = 1 << 26  # primes are smaller: the product of two residues and a third one's sum are exact


class Modulo:
    """The operations of layers on residues modulo a prime, float64 in [-p/2, p/2]; see `intnn.ops.dispatch.Operations`.

    Attributes:
        prime: The prime p; `widest` says how large it may be for a layer's sums to be exact.
    """

    def __init__(self, prime: int) -> None:
        self.prime = prime

    def residues(self, x: Array) -> FloatArray:
        """Integers as residues, whether they are int64, Python integers, or float64 below 2**53 in magnitude."""
        x = np.asarray(x if x.dtype.kind == "f" else x % self.prime, np.float64)
        # A quotient is off by one at the most where the remainder is about p / 2: -p / 2 is as good a residue.
        return x - self.prime * np.rint(x * (1.0 / self.prime))

    def arithmetic(self, _bound: int) -> Any:
        """float64, whatever the integers are that the residues stand for."""
        return np.float64

    def dense(self, x: Array, w: Array, b: Array) -> FloatArray:
        """The matrix product of residues."""
        return self.residues(numpy_.dense(self.residues(x), self.residues(w), self.residues(b)))

    def conv2d(self, x: Array, w: Array, b: Array, *geometry: Any) -> FloatArray:
        """The cross-correlation of residues."""
        return self.residues(numpy_.conv2d(self.residues(x), self.residues(w), self.residues(b), *geometry))

    def sum_pool2d(self, x: Array, *geometry: Any) -> FloatArray:
        """The sums of windows of residues."""
        return self.residues(numpy_.sum_pool2d(self.residues(x), *geometry))


def widest(fan_ins: Sequence[int]) -> int:
    """The bound below which primes must lie, so that sums of so many products of residues are exact in float64."""
    terms = max(fan_ins, default=1) + 1
    return min(WIDEST, 2 * isqrt((EXACT - 1) // terms) - 1)


def primes_below(limit: int) -> Iterator[int]:
    """The odd primes below ``limit`` <= 2**26, from the largest to the smallest."""
    for candidate in range(limit - 1 - limit % 2, 2, -2):
        if (candidate % np.arange(3, isqrt(candidate) + 1, 2)).all():
            yield candidate


def enough_primes(bound: int, fan_ins: Sequence[int]) -> tuple[int, ...]:
    """Primes whose product is above 2 ``bound``, so that residues tell all integers of such a magnitude apart."""
    chosen: list[int] = []
    product = 1
    for prime in primes_below(widest(fan_ins)):
        chosen.append(prime)
        product *= prime
        if product > 2 * bound:
            break
    return tuple(chosen)


def combined(residues: Sequence[FloatArray], primes: Sequence[int]) -> Array:
    """The integers between -P/2 and P/2 with these residues, where P is the product of the primes.

    Args:
        residues: One array of residues for every prime, all of one shape.
        primes: The primes, none twice.

    Returns:
        An array of the same shape, of Python integers (dtype object).
    """
    total, product = np.zeros(residues[0].shape, object), 1
    for values, prime in zip(residues, primes, strict=True):
        digit = (values.astype(np.int64).astype(object) - total) * pow(product, -1, prime) % prime
        total = total + digit * product
        product *= prime
    return np.where(total > product // 2, total - product, total)
