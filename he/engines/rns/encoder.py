"""The encoding of a circuit's plaintexts as residues, once for all clients."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from he.engines.rns.encode import encode_approximate, encode_exact
from he.kernels.passes import evaluate as kernels
from he.kernels.passes.product import auxiliary_primes
from he.kernels.tables.chain import Chain, chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.roots import WORD, least_root
from he.program.operations import Matrix, Plain, Scalar
from he.ring.gadget import Gadgets
from he.ring.params import Parameters
from he.ring.scheme import Scheme


class Encoder(ABC):
    """Encodes plaintexts for one parameter set.

    Attributes:
        parameters: the parameter set.
        chain: its primes, and for BFV those that products need beside them, with the tables of their transforms.
        tables: the chain's tables, which kernels read.
        gadgets: the gadgets by which keys are switched.
        imaginary: a square root of -1 modulo every data prime, which is the value of X**(N / 2) at half of the roots.
    """

    def __init__(self, parameters: Parameters, gadgets: Gadgets) -> None:
        self.parameters, self.gadgets = parameters, gadgets
        self.chain = self._make_chain()
        self.tables = self.chain.tables
        N = parameters.poly_modulus_degree
        self.imaginary = [pow(least_root(N, p), N // 2, p) for p in parameters.data_primes]

    @staticmethod
    def of(parameters: Parameters, gadgets: Gadgets | None = None) -> Encoder:
        """Return an encoder of the parameters' scheme; by default there is one special prime at every level."""
        kind = {Scheme.BFV: ExactEncoder, Scheme.CKKS: ApproximateEncoder}[parameters.scheme]
        return kind(parameters, gadgets or Gadgets.of(parameters))

    def _make_chain(self) -> Chain:
        return chain(self.parameters.poly_modulus_degree, self.parameters.primes)

    def product_primes(self, level: int) -> list[int]:
        """Return the indices of the primes modulo which products of ciphertexts at a level are computed."""
        return list(range(level))

    def most_terms(self, level: int) -> int:
        """Return how many products of ciphertexts are added up before they are scaled; others make other sums."""
        del level
        return sys.maxsize

    @abstractmethod
    def coefficients(self, slots: np.ndarray, scale: float) -> np.ndarray:
        """Return the polynomial that a packed plaintext multiplies with: [N], int64 or Python's integers."""

    @abstractmethod
    def addend(self, slots: np.ndarray, plain: Plain) -> np.ndarray:
        """Return the transformed polynomial that is added for a packed plaintext: uint64 [level, N]."""

    @abstractmethod
    def integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """Return a scalar modulo every prime of a level, as an addend if `addend` is true, else as a factor.

        Raises:
            ValueError: if it is beyond float64 at its scale.
        """

    def in_the_clear(self, slots: np.ndarray) -> np.ndarray:
        """Return slots as the ciphertext that holds them without noise and under any key: uint64 [2, levels, N].

        It is at the level of fresh ciphertexts, in the form in which they travel.
        """
        levels = self.parameters.levels
        rows = np.zeros((2, levels, self.parameters.poly_modulus_degree), np.uint64)
        rows[0] = self.addend(slots, Plain(0, levels, self.parameters.input_scale))
        if not self.parameters.scheme.ntt_form:
            for prime, row in enumerate(rows[0]):
                kernels.inverse(self.tables, row, prime)
        return rows

    def factor(self, slots: np.ndarray, plain: Plain) -> Factors:
        """Return a packed plaintext as a factor, for the primes of its level and the special ones there."""
        primes = self.gadgets.at(plain.level).indices
        return self.factors(self.transformed(self.coefficients(slots, plain.scale), primes), primes)

    def factors(self, residues: np.ndarray, primes: Sequence[int]) -> Factors:
        """Return transformed polynomials uint64 [..., primes, N] as factors; `primes` are indices in the chain."""
        return Factors.packed(self.raised(residues, primes), self.moduli(primes))

    def raised(self, residues: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        """Return residues uint64 [..., primes, N] times 2**52, as factors hold them."""
        result = np.empty_like(residues)
        for j, prime in enumerate(primes):
            w, w_quotient = self.tables.constants[prime][["radix", "radix_quotient"]].tolist()
            for place in np.ndindex(residues.shape[:-2]):
                kernels.scale_row(self.tables, residues[*place, j], prime, w, w_quotient, result[*place, j])
        return result

    def moduli(self, primes: Sequence[int]) -> list[int]:
        """Return the primes at these indices of the chain."""
        return [self.chain.primes[prime] for prime in primes]

    def transformed(self, coefficients: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        """Return a polynomial [N], int64 or Python's integers, transformed modulo some primes: uint64 [primes, N]."""
        rows = np.empty((len(primes), self.parameters.poly_modulus_degree), np.uint64)
        for row, prime in zip(rows, primes, strict=True):
            row[:] = coefficients % self.chain.primes[prime]
            kernels.forward(self.tables, row, prime)
        return rows

    def matrix(self, matrix: Matrix) -> np.ndarray:
        """Return weights as the kernel `matrix_products` reads them: uint64 [level, ceil(rows / 4), terms, 4]."""
        rows, terms = matrix.weights.shape
        numbers = [
            self.integers(Scalar(w, matrix.level, matrix.scale), matrix.level, addend=False)
            for w in matrix.weights.ravel().tolist()
        ]
        primes = np.array(self.parameters.primes[: matrix.level], object)
        residues = (np.array(numbers, object) << WORD) % primes  # [rows * terms, level]
        padded = np.zeros((-(-rows // 4) * 4, terms, matrix.level), np.uint64)
        padded[:rows] = residues.reshape(rows, terms, matrix.level)
        return np.ascontiguousarray(padded.reshape(-1, 4, terms, matrix.level).transpose(3, 0, 2, 1))

    def constants(self, constant: Scalar, level: int, both_parts: bool) -> np.ndarray:
        """Return the addends of the two halves of every residue row for a number in all slots: uint64 [level, 2].

        If `both_parts` is true, the number is added to the real and to the imaginary part of every slot.
        """
        added = self.integers(constant, level, addend=True)
        if not both_parts:
            return np.array([[c, c] for c in added], np.uint64)
        rows = zip(added, self.imaginary, self.parameters.data_primes, strict=False)
        return np.array([[c * (1 + i) % p, c * (1 - i) % p] for c, i, p in rows], np.uint64)


class ApproximateEncoder(Encoder):
    """The encoder of CKKS."""

    def coefficients(self, slots: np.ndarray, scale: float) -> np.ndarray:
        """See `Encoder.coefficients`."""
        return encode_approximate(slots, scale)

    def addend(self, slots: np.ndarray, plain: Plain) -> np.ndarray:
        """See `Encoder.addend`."""
        return self.transformed(self.coefficients(slots, plain.scale), range(plain.level))

    def integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """See `Encoder.integers`."""
        number = scalar.value * scalar.scale
        if not math.isfinite(number):
            raise ValueError(f"a number at scale {scalar.scale} must fit float64, got {scalar.value}")
        integer = round(number)
        return [integer % prime for prime in self.parameters.primes[:level]]


class ExactEncoder(Encoder):
    """The encoder of BFV.

    Attributes:
        auxiliary: the primes that products need beside those of the parameters.
        more: how many more of them than data primes a product needs at every level.
    """

    def _make_chain(self) -> Chain:
        N, primes = self.parameters.poly_modulus_degree, self.parameters.primes
        self.auxiliary = auxiliary_primes(N, primes, self.parameters.t)
        self.more = len(self.auxiliary) - self.parameters.levels
        return chain(N, (*primes, *self.auxiliary))

    def product_primes(self, level: int) -> list[int]:
        """See `Encoder.product_primes`."""
        first = len(self.parameters.primes)
        return [*range(level), *range(first, first + level + self.more)]

    def most_terms(self, level: int) -> int:
        """See `Encoder.most_terms`: as many as the auxiliary primes hold the sum of; see `auxiliary_primes`."""
        parameters = self.parameters
        one = 4 * parameters.t * parameters.poly_modulus_degree * _product(parameters.primes[:level])
        return _product(self.auxiliary[: level + self.more]) // one

    def coefficients(self, slots: np.ndarray, scale: float) -> np.ndarray:
        """See `Encoder.coefficients`."""
        return encode_exact(slots, self.parameters.t)

    def addend(self, slots: np.ndarray, plain: Plain) -> np.ndarray:
        """See `Encoder.addend`."""
        q = _product(self.parameters.primes[: plain.level])
        lifted = [self._lifted(c, q) for c in self.coefficients(slots, plain.scale).tolist()]
        return self.transformed(np.array(lifted, object), range(plain.level))

    def integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """See `Encoder.integers`."""
        t, primes = self.parameters.t, self.parameters.primes[:level]
        value = int(scalar.value) % t
        if addend:
            value = self._lifted(value, _product(primes))
        elif value > t // 2:
            value -= t
        return [value % prime for prime in primes]

    def _lifted(self, value: int, q: int) -> int:
        """Return round(value q / t), which a ciphertext holds for a plain value."""
        t = self.parameters.t
        return (2 * value % (2 * t) * q + t) // (2 * t)


def _product(primes: Sequence[int]) -> int:
    return int(np.prod([int(p) for p in primes], dtype=object))
