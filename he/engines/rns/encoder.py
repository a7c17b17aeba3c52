"""Plaintexts as residues: what a circuit's operands are encoded to, once for all clients."""

from __future__ import annotations

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
from he.ring.params import Parameters
from he.ring.scheme import Scheme


class Encoder(ABC):
    """Encodes for one parameter set.

    Attributes:
        parameters: the parameter set.
        chain: its primes with their transforms, and whatever primes the scheme needs beside them.
        tables: the same as kernels take it.
        special: the place of the special prime among them.
        imaginary: X**(N / 2) modulo every data prime.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.chain = self._make_chain()
        self.tables = self.chain.tables
        self.special = parameters.levels
        N = parameters.poly_modulus_degree
        self.imaginary = [pow(least_root(N, p), N // 2, p) for p in parameters.data_primes]

    @staticmethod
    def of(parameters: Parameters) -> Encoder:
        """The encoder of the parameters' scheme."""
        return {Scheme.BFV: ExactEncoder, Scheme.CKKS: ApproximateEncoder}[parameters.scheme](parameters)

    def _make_chain(self) -> Chain:
        return chain(self.parameters.poly_modulus_degree, self.parameters.primes)

    @abstractmethod
    def coefficients(self, slots: np.ndarray, scale: float) -> np.ndarray:
        """The polynomial, int64 or Python integers [N], that a packed plaintext multiplies with."""

    @abstractmethod
    def addend(self, slots: np.ndarray, plain: Plain) -> np.ndarray:
        """What is added for a packed plaintext, transformed: uint64 [level, N]."""

    @abstractmethod
    def integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """A scalar as an integer modulo every prime of a level: as a factor, or as what is added to every entry."""

    def factor(self, slots: np.ndarray, plain: Plain) -> Factors:
        """A packed plaintext for the primes of its level and the special one."""
        primes = [*range(plain.level), self.special]
        return self.factors(self.transformed(self.coefficients(slots, plain.scale), primes), primes)

    def factors(self, residues: np.ndarray, primes: Sequence[int]) -> Factors:
        """Polynomials uint64 [..., primes, N] as products want them for one of their factors."""
        result = np.empty_like(residues)
        for place in np.ndindex(residues.shape[:-2]):
            for j, prime in enumerate(primes):
                w, w_quotient = self.tables.constants[prime][["radix", "radix_quotient"]].tolist()
                kernels.scale_row(self.tables, residues[*place, j], prime, w, w_quotient, result[*place, j])
        return Factors.packed(result, self.moduli(primes))

    def moduli(self, primes: Sequence[int]) -> list[int]:
        """The primes at some places of the chain."""
        return [self.chain.primes[prime] for prime in primes]

    def transformed(self, coefficients: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        """Integers [N], int64 or Python's, modulo some primes."""
        rows = np.empty((len(primes), self.parameters.poly_modulus_degree), np.uint64)
        for row, prime in zip(rows, primes, strict=True):
            row[:] = coefficients % self.chain.primes[prime]
            kernels.forward(self.tables, row, prime)
        return rows

    def matrix(self, matrix: Matrix) -> np.ndarray:
        """Weights as `matrix_products` takes them: uint64 [level, rows / 4, terms, 4]."""
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
        """What is added to the halves of every row, uint64 [level, 2], for a number in all slots or all their parts."""
        added = self.integers(constant, level, addend=True)
        if not both_parts:
            return np.array([[c, c] for c in added], np.uint64)
        rows = zip(added, self.imaginary, self.parameters.data_primes, strict=False)
        return np.array([[c * (1 + i) % p, c * (1 - i) % p] for c, i, p in rows], np.uint64)


class ApproximateEncoder(Encoder):
    """CKKS."""

    def coefficients(self, slots: np.ndarray, scale: float) -> np.ndarray:
        """See `Encoder.coefficients`."""
        return encode_approximate(slots, scale)

    def addend(self, slots: np.ndarray, plain: Plain) -> np.ndarray:
        """See `Encoder.addend`."""
        return self.transformed(self.coefficients(slots, plain.scale), range(plain.level))

    def integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """See `Encoder.integers`."""
        integer = round(scalar.value * scalar.scale)
        return [integer % prime for prime in self.parameters.primes[:level]]


class ExactEncoder(Encoder):
    """BFV.

    Attributes:
        auxiliary: primes that products are computed with beside those of the parameters.
    """

    def _make_chain(self) -> Chain:
        N, primes = self.parameters.poly_modulus_degree, self.parameters.primes
        self.auxiliary = auxiliary_primes(N, primes, self.parameters.t)
        return chain(N, (*primes, *self.auxiliary))

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
        """round(value q / t): what a plain value is in a ciphertext."""
        t = self.parameters.t
        return (2 * value % (2 * t) * q + t) // (2 * t)


def _product(primes: Sequence[int]) -> int:
    return int(np.prod([int(p) for p in primes], dtype=object))
