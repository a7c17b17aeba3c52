"""The algebra that bounds the noise of a BFV program before anything is encrypted.

The bounds hold for the Euclidean norm of the noise, which no coefficient exceeds. A product multiplies it at most by
the canonical norm of the other factor (`he.ring.norms`), sums are bounded by the triangle inequality, and what is
rounded by the worst case. So nothing is taken as independent of anything else. What is random:

- *secrets*, whose canonical norm their owners have looked at (`he.ring.norms.secret_norm`);
- *errors* of encryption and of keys, drawn by the client;
- *ciphertexts*: each of the two polynomials of a ciphertext that is multiplied is taken as uniform modulo q, by itself.
  Fresh ones are; that those computed from them look so is what the security of the scheme rests on.

A random polynomial is beyond its bound with a chance below 2^-58, so an evaluation of a million products with one below
2^-37. This is about correctness between parties that follow the protocol: who deviates can make any noise.

Weights count by declared bounds: packed plaintexts by one on their canonical norms, rows of a `Matrix` by its `norm`,
and scalars as the worst ones modulo t. Encrypted operands are ciphertexts by a public key, and count by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.readers.key_switching import key_switch_norm
from he.readers.public_key import encryption_norm
from he.readers.variance import ERROR_VARIANCE
from he.ring.gadget import Gadgets
from he.ring.norms import random_canonical_norm, random_euclidean_norm, secret_norm
from he.ring.params import Parameters

USUAL = 6.0  # deviations of uniform coefficients, within which nearly all plaintexts have their canonical norm
LARGEST = 2.0**200  # where a bound is cut off: so much noise is too much, and its square is a float


def usual_plain_norm(N: int, t: int) -> float:
    """Return the bound on the canonical norm of packed plaintexts that is declared for nearly all networks."""
    return USUAL * t * math.sqrt(N / 12)


@dataclass(frozen=True)
class BfvNoise:
    """A bound on the invariant noise v of a BFV ciphertext: (t/q) c(s) = m + v + t(...), correct while |v| < 1/2.

    Attributes:
        level: the number of data primes.
        bound: the largest Euclidean norm of v; float64 [members] for a group of values (`he.program.fold`).
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
        plain_norm: the declared bound on the canonical norms of packed plaintexts; the usual one by default.
        gadgets: those by which keys are switched; by default with one special prime.
    """

    def __init__(self, parameters: Parameters, plain_norm: float | None = None, gadgets: Gadgets | None = None) -> None:
        self._parameters = parameters
        N, t = parameters.poly_modulus_degree, parameters.t
        self._t, self._root = t, math.sqrt(N)
        self._plain_norm = usual_plain_norm(N, t) if plain_norm is None else plain_norm
        # (t/q) c(s) for c_0 and c_1 uniform on [-q/2, q/2); and t/q by the number of data primes.
        secret = secret_norm(N, parameters.owners)
        self._product_norm = t * random_canonical_norm(N, 1 / 12) * (1 + secret)
        self._relative = [t * 2.0 ** -parameters.log2_modulus(level) for level in range(parameters.levels + 1)]
        # A polynomial that is rounded is wrong by no more than 1/2 in any coefficient.
        self._rounding = self._root / 2
        self._roundings = {2: self._rounding * (1 + secret), 3: self._rounding * (1 + secret + secret**2)}
        rounding, gadgets = 2 * self._roundings[2], gadgets or Gadgets.of(parameters)  # SEAL's engine rounds twice
        levels = range(1, parameters.levels + 1)
        self._operand = encryption_norm(parameters) + self._rounding
        self._key_switches, self._relinearisations = (
            {
                level: key_switch_norm(gadgets.at(level), parameters.owners, relinearises=of) + rounding
                for level in levels
            }
            for of in (False, True)
        )

    def input(self, index: int) -> BfvNoise:
        N, level = self._parameters.poly_modulus_degree, self._parameters.levels
        if self._parameters.owners == 2:  # nobody has the secret key to encrypt by
            return self._encrypted(level)
        fresh = random_euclidean_norm(N, ERROR_VARIANCE) + self._rounding
        return BfvNoise(level, self._relative[level] * fresh)

    def plain_dot(self, values: Sequence[BfvNoise], plains: Sequence[Plain]) -> BfvNoise:
        return replace(values[0], bound=self._plain_norm * sum(v.bound for v in values))

    def cipher_dot(self, values: Sequence[BfvNoise], plains: Sequence[Plain]) -> BfvNoise:
        # As `multiply` has it; of the sum no more is rounded than of so many products.
        operand = self._encrypted(values[0].level)
        products = [self.multiply(value, operand) for value in values]
        return replace(self.add(products), bound=np.minimum(sum(v.bound for v in products), LARGEST))

    def scalar_dot(self, values: Sequence[BfvNoise], scalars: Sequence[Scalar], constant: Scalar) -> BfvNoise:
        # A factor of 1 stands in every plan of a table; any other is a coefficient, and counts as the worst.
        factors = (1 if scalar.value == 1 else self._t // 2 for scalar in scalars)
        bound = sum(factor * v.bound for v, factor in zip(values, factors, strict=True))
        return self._added(replace(values[0], bound=bound))

    def matrix(self, values: Sequence[BfvNoise], matrix: Matrix) -> list[BfvNoise]:
        bounds = self.rows(BfvNoise.join(values), matrix).bound
        return [replace(values[0], bound=bound) for bound in np.atleast_1d(bounds).tolist()]

    def rows(self, value: BfvNoise, matrix: Matrix) -> BfvNoise:
        residues = matrix.weights % self._t
        largest = np.minimum(residues, self._t - residues).sum(axis=1).max(initial=0)
        bound = min(max(matrix.norm, float(largest)) * value.largest, LARGEST)
        return self._added(replace(value, bound=np.full(len(matrix.constants), bound)))

    def add_plain(self, a: BfvNoise, plain: Plain) -> BfvNoise:
        return self._added(a)

    def add_cipher(self, a: BfvNoise, plain: Plain) -> BfvNoise:
        return replace(a, bound=a.bound + self._encrypted(a.level).bound)

    def add(self, values: Sequence[BfvNoise]) -> BfvNoise:
        return replace(values[0], bound=sum(v.bound for v in values), size=max(v.size for v in values))

    def multiply(self, a: BfvNoise, b: BfvNoise) -> BfvNoise:
        return self.products([a], [b])

    def products(self, left: Sequence[BfvNoise], right: Sequence[BfvNoise]) -> BfvNoise:
        """Bound the noise of a sum of products of two values each, which is scaled down once, as a sum."""
        # v = v1 (t/q) c2(s) + v2 (t/q) c1(s) - v1 v2 for each of them, plus the rounding of three polynomials, which
        # the fast base conversions of an RNS implementation get wrong by at most one unit per prime.
        level = left[0].level
        bound = 2 * level * self._relative[level] * self._roundings[3]
        for a, b in zip(left, right, strict=True):
            bound = bound + self._product_norm * (a.bound + b.bound) + self._root * a.bound * b.bound
        return BfvNoise(level, np.minimum(bound, LARGEST), 3)

    def packed(self, noisiest: BfvNoise, pairs: bool = False) -> BfvNoise:
        """Bound the coefficients, not their Euclidean norm, of the noise of totals packed by `he.engines.rns.traces`.

        What is added at one depth is traced by all later automorphisms, which are a group: of n = N totals, or N / 2
        of pairs, it leaves multiples of as many coefficients as the group has elements, and those of different
        ciphertexts go to different places. So a coefficient is n times one of a ciphertext's noise, and n / 2 times
        one of the first key switches' noise, n / 4 times one of the second's, and so on.
        """
        n = self._parameters.poly_modulus_degree >> pairs
        return replace(noisiest, bound=n * noisiest.bound + (n - 1) * self._key_switch(noisiest.level))

    def expanded(self, packed: BfvNoise, pairs: bool = False) -> BfvNoise:
        """Bound the noise of each of the ciphertexts that one of packed numbers is expanded to.

        The coefficients of its noise that are kept come out as they were. Every depth adds an automorphism's image,
        whose norm is the same, and a key switch.
        """
        n = self._parameters.poly_modulus_degree >> pairs
        return replace(packed, bound=packed.bound + (n - 1) * self._key_switch(packed.level))

    def relinearise(self, a: BfvNoise) -> BfvNoise:
        return BfvNoise(a.level, a.bound + self._relative[a.level] * self._relinearisations[a.level])

    def rotate(self, a: BfvNoise, step: int) -> BfvNoise:
        return self.swap_rows(a)

    def swap_rows(self, a: BfvNoise) -> BfvNoise:
        return replace(a, bound=a.bound + self._key_switch(a.level))

    def switch_modulus(self, a: BfvNoise) -> BfvNoise:
        return replace(a, level=a.level - 1, bound=a.bound + self._relative[a.level - 1] * self._roundings[a.size])

    def rescale(self, a: BfvNoise) -> BfvNoise:
        raise TypeError("BFV has no rescaling")

    def _key_switch(self, level: int) -> float:
        return self._relative[level] * self._key_switches[level]

    def _encrypted(self, level: int) -> BfvNoise:
        """Return the noise of an operand that was encrypted by a public key, at the level where it is used.

        A plaintext's multiple of q / t is rounded, too.
        """
        return BfvNoise(level, self._relative[level] * self._operand)

    def _added(self, a: BfvNoise) -> BfvNoise:
        """Return the noise after a plaintext was added, whose multiple of q / t is rounded."""
        return replace(a, bound=a.bound + self._relative[a.level] * self._rounding)
