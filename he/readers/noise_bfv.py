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
from he.readers.variance import ERROR_VARIANCE, TAIL, key_switch_variance, norm_bound, rounding_variance
from he.ring.params import Parameters


@dataclass(frozen=True)
class BfvNoise:
    """A bound on the invariant noise v of a BFV ciphertext: (t/q) c(s) = m + v + t(...), correct while |v| < 1/2.

    Attributes:
        level: the number of data primes.
        bound: the largest canonical norm of v; float64 [members] for a group of values (`he.program.fold`).
        size: the number of polynomials of the ciphertext.
    """

    level: int
    bound: float | np.ndarray
    size: int = 2

    @property
    def largest(self) -> float:
        """The bound of the noisiest member."""
        return float(np.max(self.bound))

    @property
    def budget_bits(self) -> float:
        """A lower bound on the noise budget as SEAL defines it: the bits that are left before decryption could fail."""
        return -math.log2(2 * self.largest)

    def take(self, places: np.ndarray) -> BfvNoise:
        return replace(self, bound=np.atleast_1d(self.bound)[places])

    @classmethod
    def join(cls, values: Sequence[BfvNoise]) -> BfvNoise:
        return replace(values[0], bound=np.concatenate([np.atleast_1d(v.bound) for v in values]))


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
        # What operations add at every level, by the number of data primes.
        relative = [self._t * 2.0 ** -parameters.log2_modulus(level) for level in range(parameters.levels + 1)]
        digits = [TAIL * math.sqrt(key_switch_variance(parameters, level)) for level in range(parameters.levels + 1)]
        self._relative = relative
        self._roundings = {size: [r * norm_bound(N, rounding_variance(N, size)) for r in relative] for size in (2, 3)}
        self._plain_additions = [r * norm_bound(N, 1 / 12) for r in relative]
        self._key_switches = [
            r * d + rounding for r, d, rounding in zip(relative, digits, self._roundings[2], strict=True)
        ]

    def input(self, index: int) -> BfvNoise:
        N, level = self._parameters.poly_modulus_degree, self._parameters.levels
        fresh = norm_bound(N, ERROR_VARIANCE) + norm_bound(N, 1 / 12)
        return BfvNoise(level, self._relative[level] * fresh)

    def plain_dot(self, values: Sequence[BfvNoise], plains: Sequence[Plain]) -> BfvNoise:
        return replace(values[0], bound=self._plain_norm * sum(v.bound for v in values))

    def scalar_dot(self, values: Sequence[BfvNoise], scalars: Sequence[Scalar], constant: Scalar) -> BfvNoise:
        bound = sum(abs(self._centred(s)) * v.bound for v, s in zip(values, scalars, strict=True))
        return replace(values[0], bound=bound + self._plain_additions[values[0].level])

    def matrix(self, values: Sequence[BfvNoise], matrix: Matrix) -> list[BfvNoise]:
        bounds = self.rows(BfvNoise.join(values), matrix).bound
        return [replace(values[0], bound=bound) for bound in np.atleast_1d(bounds).tolist()]

    def rows(self, value: BfvNoise, matrix: Matrix) -> BfvNoise:
        residues = matrix.weights % self._t
        noises = np.minimum(value.bound, 2.0**900)  # finite, so that zero times a bound is zero
        bounds = np.minimum(residues, self._t - residues) @ noises
        return replace(value, bound=bounds + self._plain_additions[value.level])

    def add_plain(self, a: BfvNoise, plain: Plain) -> BfvNoise:
        return replace(a, bound=a.bound + self._plain_additions[a.level])

    def add(self, values: Sequence[BfvNoise]) -> BfvNoise:
        return replace(values[0], bound=sum(v.bound for v in values), size=max(v.size for v in values))

    def multiply(self, a: BfvNoise, b: BfvNoise) -> BfvNoise:
        # v = v1 (t/q) c2(s) + v2 (t/q) c1(s) + v1 v2, plus the rounding of three polynomials, which the fast base
        # conversions of an RNS implementation get wrong by at most one unit per prime.
        rounding = 2 * a.level * self._roundings[3][a.level]
        return BfvNoise(a.level, self._product_norm * (a.bound + b.bound) + a.bound * b.bound + rounding, 3)

    def relinearise(self, a: BfvNoise) -> BfvNoise:
        return BfvNoise(a.level, a.bound + self._key_switches[a.level])

    def rotate(self, a: BfvNoise, step: int) -> BfvNoise:
        return self.swap_rows(a)

    def swap_rows(self, a: BfvNoise) -> BfvNoise:
        return replace(a, bound=a.bound + self._key_switches[a.level])

    def switch_modulus(self, a: BfvNoise) -> BfvNoise:
        return replace(a, level=a.level - 1, bound=a.bound + self._roundings[a.size][a.level - 1])

    def rescale(self, a: BfvNoise) -> BfvNoise:
        raise TypeError("BFV has no rescaling")

    def _centred(self, scalar: Scalar) -> int:
        residue = int(scalar.value) % self._t
        return min(residue, self._t - residue)
