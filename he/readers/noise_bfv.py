"""The algebra that bounds the noise of a BFV program before anything is encrypted.

The bounds hold for the *canonical embedding norm*: the largest absolute value of a polynomial at the complex roots of
X^N + 1. It is submultiplicative and automorphisms preserve it. Exactness rests on the bound, so sums are bounded by the
triangle inequality, never by assumed independence. The norms of single random polynomials follow from
`he.readers.variance`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.readers.variance import ERROR_VARIANCE, TAIL, digit_power, key_switch_variance, norm_bound, rounding_variance
from he.ring.params import Parameters


@dataclass(frozen=True)
class BfvNoise:
    """A bound on the invariant noise v of a BFV ciphertext: (t/q) c(s) = m + v + t(...), correct while |v| < 1/2.

    Attributes:
        level: the number of data primes.
        bound: the largest canonical norm of v.
        size: the number of polynomials of the ciphertext.
    """

    level: int
    bound: float
    size: int = 2

    @property
    def budget_bits(self) -> float:
        """A lower bound on the noise budget as SEAL defines it: the bits that are left before decryption could fail."""
        return -math.log2(2 * self.bound)


class BfvNoiseAlgebra(Algebra[BfvNoise]):
    """Bounds the noise of every value of a program.

    Args:
        parameters: a BFV set.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        N = parameters.poly_modulus_degree
        assert parameters.plain_modulus is not None
        self._t = parameters.plain_modulus
        # The coefficients of a packed plaintext are taken as uniform modulo t.
        self._plain_norm = norm_bound(N, self._t**2 / 12)
        self._product_norm = self._t * norm_bound(N, rounding_variance(N))
        self._digit_power = float(digit_power(N).max())

    def _relative(self, level: int) -> float:
        """Return t/q at `level`."""
        return self._t * 2.0 ** -self._parameters.log2_modulus(level)

    def input(self, index: int) -> BfvNoise:
        N, level = self._parameters.poly_modulus_degree, self._parameters.levels
        fresh = norm_bound(N, ERROR_VARIANCE) + norm_bound(N, 1 / 12)
        return BfvNoise(level, self._relative(level) * fresh)

    def plain_dot(self, values: Sequence[BfvNoise], plains: Sequence[Plain]) -> BfvNoise:
        return replace(values[0], bound=self._plain_norm * sum(v.bound for v in values))

    def scalar_dot(self, values: Sequence[BfvNoise], scalars: Sequence[Scalar], constant: Scalar) -> BfvNoise:
        bound = sum(abs(self._centred(s)) * v.bound for v, s in zip(values, scalars, strict=True))
        return replace(values[0], bound=bound + self._plain_addition(values[0].level))

    def matrix(self, values: Sequence[BfvNoise], matrix: Matrix) -> list[BfvNoise]:
        residues = matrix.weights % self._t
        noises = np.minimum([v.bound for v in values], 2.0**900)  # finite, so that zero times a bound is zero
        bounds = np.minimum(residues, self._t - residues) @ noises
        added = self._plain_addition(values[0].level)
        return [replace(values[0], bound=bound + added) for bound in bounds.tolist()]

    def add_plain(self, a: BfvNoise, plain: Plain) -> BfvNoise:
        return replace(a, bound=a.bound + self._plain_addition(a.level))

    def add(self, values: Sequence[BfvNoise]) -> BfvNoise:
        return replace(values[0], bound=sum(v.bound for v in values), size=max(v.size for v in values))

    def multiply(self, a: BfvNoise, b: BfvNoise) -> BfvNoise:
        # v = v1 (t/q) c2(s) + v2 (t/q) c1(s) + v1 v2, plus the rounding of three polynomials, which the fast base
        # conversions of an RNS implementation get wrong by at most one unit per prime.
        rounding = 2 * a.level * self._rounding(a.level, 3)
        return BfvNoise(a.level, self._product_norm * (a.bound + b.bound) + a.bound * b.bound + rounding, 3)

    def relinearise(self, a: BfvNoise) -> BfvNoise:
        return BfvNoise(a.level, a.bound + self._key_switch(a.level))

    def rotate(self, a: BfvNoise, step: int) -> BfvNoise:
        return self.swap_rows(a)

    def swap_rows(self, a: BfvNoise) -> BfvNoise:
        return replace(a, bound=a.bound + self._key_switch(a.level))

    def switch_modulus(self, a: BfvNoise) -> BfvNoise:
        return replace(a, level=a.level - 1, bound=a.bound + self._rounding(a.level - 1, a.size))

    def rescale(self, a: BfvNoise) -> BfvNoise:
        raise TypeError("BFV has no rescaling")

    def _key_switch(self, level: int) -> float:
        digits = TAIL * math.sqrt(key_switch_variance(self._parameters, level) * self._digit_power)
        return self._relative(level) * digits + self._rounding(level, 2)

    def _rounding(self, level: int, size: int) -> float:
        N = self._parameters.poly_modulus_degree
        return self._relative(level) * norm_bound(N, rounding_variance(N, size))

    def _plain_addition(self, level: int) -> float:
        return self._relative(level) * norm_bound(self._parameters.poly_modulus_degree, 1 / 12)

    def _centred(self, scalar: Scalar) -> int:
        residue = int(scalar.value) % self._t
        return min(residue, self._t - residue)
