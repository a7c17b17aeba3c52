"""The algebras that evaluate a program on arrays of residues; values of both schemes stay in transformed form."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder, ExactEncoder
from he.engines.rns.operands import Operands
from he.engines.rns.switchers import Switcher
from he.engines.rns.switching_keys import SwitchingKey, SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.formats.switching import RELINEARISATION
from he.kernels.passes import evaluate as kernels
from he.kernels.passes import switching
from he.kernels.passes.product import Scaling, extend_polynomial, scaled, scaled_product, scaling
from he.kernels.passes.tensors import tensor_sum, tile
from he.kernels.tables.factors import Factors
from he.kernels.tables.roots import FACTOR, factors, quotient
from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.ring.scheme import Scheme


class Residues(Algebra[Value]):
    """The operations that both schemes share.

    Args:
        encoder: the encoder of the circuit's parameters.
        weights: the circuit's encoded operands.
        keys: one client's evaluation keys.
        both_parts: whether slots hold one image in their real and another in their imaginary part.
        inputs: functions that return the residues of the input ciphertexts; each is called when its input is used.
        workers: the threads that share the work.
        buffers: the memory of values.
        operands: the program's encrypted operands.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        keys: SwitchingKeys,
        both_parts: bool,
        inputs: Sequence[Callable[[], np.ndarray]],
        workers: Workers,
        buffers: Buffers,
        operands: Operands | None = None,
    ) -> None:
        parameters = encoder.parameters
        self._encoder, self._weights, self._keys, self._both_parts = encoder, weights, keys, both_parts
        self._operands = operands or Operands()
        self._inputs, self._all, self._share, self._empty = inputs, workers.all, workers.share, buffers.empty
        self._parameters, self._tables = parameters, encoder.tables
        self._switchers: dict[int, Switcher] = {}
        self._N, self._primes = parameters.poly_modulus_degree, parameters.data_primes

    @staticmethod
    def of(scheme: Scheme) -> type[Residues]:
        """Return the class of a scheme's algebra."""
        return {Scheme.BFV: Exact, Scheme.CKKS: Approximate}[scheme]

    def _copied(self, x: np.ndarray) -> np.ndarray:
        result = self._empty(*x.shape)
        result[:] = x
        return result

    @abstractmethod
    def to_ntt(self, residues: np.ndarray) -> Value:
        """Return the value of a ciphertext's residues, which are in the form in which it travels."""

    @abstractmethod
    def from_ntt(self, value: Value) -> np.ndarray:
        """Return a value's residues in the form in which a ciphertext travels."""

    def _switcher(self, level: int) -> Switcher:
        """Return what switches keys at a level; two threads may make it at once, which does no harm."""
        if level not in self._switchers:
            gadget = self._encoder.gadgets.at(level)
            self._switchers[level] = Switcher.of(self._tables, gadget, self._share, self._empty)
        return self._switchers[level]

    def _key(self, element: int, level: int) -> SwitchingKey:
        """Return the key of a Galois element for the gadget of a level.

        Raises:
            ValueError: if there is none.
        """
        return self._keys.key(element, self._encoder.gadgets.at(level))

    def mod_down(self, a: Value) -> np.ndarray:
        """Return a value's residues; an extended value is divided by the special primes first, which is done once."""
        if a.residues is None:
            assert a.extended is not None
            if a.readers == 1:
                a.residues = self._divided_by_special(a.extended, a.level)
                return a.residues
            with a.lock:  # not shared: a thread that holds the lock must not take another task, which may want it
                if a.residues is None:
                    residues = self._empty(2, a.level, self._N)
                    self._switcher(a.level).mod_down(a.extended, residues, 0, 2)
                    a.residues = residues
        return a.residues

    def _of_one_size(self, values: Sequence[Value]) -> list[np.ndarray]:
        """Return the residues of all values, with zeros for polynomials that only some have; products have three."""
        down = [self.mod_down(value) for value in values]
        size = max(len(residues) for residues in down)
        return [
            np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), np.uint64)]) if len(x) < size else x
            for x in down
        ]

    def _lazy(self, values: Sequence[Value]) -> tuple[dict[int, np.ndarray], list[int]]:
        """Return the extended values without residues by index, if their sum can stay extended, and other indices."""
        extended = {i: v.extended for i, v in enumerate(values) if v.residues is None and v.extended is not None}
        others = [i for i in range(len(values)) if i not in extended]
        for i in others:
            residues = values[i].residues
            if residues is not None and len(residues) > 2:
                return {}, list(range(len(values)))
        return extended, others

    def input(self, index: int) -> Value:
        return self.to_ntt(self._inputs[index]())

    def add(self, values: Sequence[Value]) -> Value:
        extended, others = self._lazy(values)
        if not extended:
            return Value(self._sum(self._of_one_size(values), values[0].level))
        total = self._sum(list(extended.values()), values[0].level)
        return self._extended(total, [self.mod_down(values[i]) for i in others], values[0].level)

    def _extended(self, total: np.ndarray, others: Sequence[np.ndarray], level: int) -> Value:
        """Return an extended value, to which the residues of others are added."""
        switcher = self._switcher(level)
        for x in others:
            kernels.add_extended(self._tables, x, switcher.constants.special, total)
        return Value(None, total, switcher.gadget.specials)

    def _sum(self, arrays: Sequence[np.ndarray], level: int) -> np.ndarray:
        total = self._empty(*arrays[0].shape)
        primes = self._switcher(level).constants.indices[: total.shape[1]]
        kernels.sum_rows(self._tables, _addresses(arrays[: kernels.MAX_ADDED]), primes, total)
        for start in range(kernels.MAX_ADDED, len(arrays), kernels.MAX_ADDED - 1):
            some = [total, *arrays[start : start + kernels.MAX_ADDED - 1]]
            kernels.sum_rows(self._tables, _addresses(some), primes, total)
        return total

    def add_plain(self, a: Value, plain: Plain) -> Value:
        result = self._copied(self.mod_down(a))
        kernels.add_rows(self._tables, result[:1], self._weights.addends[plain][None], a.level - 1, result[:1])
        return Value(result)

    def plain_dot(self, values: Sequence[Value], plains: Sequence[Plain]) -> Value:
        factors = [self._weights.factors[plain] for plain in plains]
        (extended, others), level = self._lazy(values), values[0].level
        ciphertexts = self._of_one_size([values[i] for i in others]) if others else []
        rest = [self._products(ciphertexts, [factors[i] for i in others], level)] if others else []
        if not extended:
            return Value(rest[0])
        total = self._products(list(extended.values()), [factors[i] for i in extended], level)
        return self._extended(total, rest, level)

    def cipher_dot(self, values: Sequence[Value], plains: Sequence[Plain]) -> Value:
        level, most = values[0].level, self.most_terms(values[0].level)
        parts = [slice(start, start + most) for start in range(0, len(values), most)]
        sums = [self._sum_of_products(values[part], plains[part], level) for part in parts]
        return Value(sums[0] if len(sums) == 1 else self._sum(sums, level))

    def most_terms(self, level: int) -> int:
        """Return how many products of ciphertexts are added up before they are scaled; others make other sums."""
        del level
        return sys.maxsize

    def _sum_of_products(self, values: Sequence[Value], plains: Sequence[Plain], level: int) -> np.ndarray:
        """Return the sum of products with encrypted operands, uint64 [3, level, N]."""
        return self._tensor([self.mod_down(v) for v in values], plains, range(level))

    def _tensor(self, residues: Sequence[np.ndarray], plains: Sequence[Plain], primes: Sequence[int]) -> np.ndarray:
        """Return the sum of products of degree two modulo these primes, uint64 [3, primes, N]."""
        left = np.array([self._operands.factors[plain].addresses for plain in plains])
        right, result = _addresses(residues), self._empty(3, len(primes), self._N)
        self._all(
            [
                partial(tensor_sum, self._tables, left, right, row, prime, *tile(len(left)), result)
                for row, prime in enumerate(primes)
            ]
        )
        return result

    def add_cipher(self, a: Value, plain: Plain) -> Value:
        result, operand = self._copied(self.mod_down(a)), self._operands.addends[plain]
        kernels.add_rows(self._tables, result[:2], operand, a.level - 1, result[:2])
        return Value(result)

    def _products(self, ciphertexts: Sequence[np.ndarray], factors: Sequence[Factors], level: int) -> np.ndarray:
        result = self._empty(*ciphertexts[0].shape)
        rows = np.array([factor.addresses for factor in factors])
        primes = self._switcher(level).constants.indices[: result.shape[1]]
        kernels.plain_products(self._tables, _addresses(ciphertexts), rows, primes, result)
        return result

    def scalar_dot(self, values: Sequence[Value], scalars: Sequence[Scalar], constant: Scalar) -> Value:
        level = values[0].level
        weights = np.empty((level, len(values)), FACTOR)
        for i, scalar in enumerate(scalars):
            for j, w in enumerate(self._encoder.integers(scalar, level, addend=False)):
                weights[j, i] = w, quotient(w, self._primes[j])
        ciphertexts = self._of_one_size(values)
        result = self._empty(*ciphertexts[0].shape)
        kernels.scalar_products(self._tables, _addresses(ciphertexts), weights, result)
        kernels.add_constants(self._tables, result[0], self._constants(constant, level))
        return Value(result)

    def _constants(self, constant: Scalar, level: int) -> np.ndarray:
        return self._encoder.constants(constant, level, self._both_parts)

    def matrix(self, values: Sequence[Value], matrix: Matrix) -> list[Value]:
        weights, level = self._weights.matrices[matrix], values[0].level
        ciphertexts = [self.mod_down(value) for value in values]
        addresses = _addresses(ciphertexts)
        rows = self._empty(4 * weights.shape[1], 2, level, self._N)
        self._all(
            [
                partial(kernels.matrix_products, self._tables, addresses, weights, component, prime, rows)
                for component in range(2)
                for prime in range(level)
            ]
        )
        for row, constant in zip(rows, matrix.constants.tolist(), strict=False):
            scalar = Scalar(constant, level, matrix.constant_scale)
            kernels.add_constants(self._tables, row[0], self._constants(scalar, level))
        return [Value(row) for row in rows[: len(matrix.constants)]]

    def square_parts(self, a: Value, conjugate: Value) -> Value:
        units = zip(self._encoder.imaginary[: a.level], self._primes, strict=False)
        halves = np.array([factors((-i, i), (p, p)) for i, p in units])
        result, operands = self._empty(3, a.level, self._N), (self.mod_down(a), self.mod_down(conjugate))
        for prime in range(a.level):
            kernels.square_parts(self._tables, *operands, halves, prime, result)
        return Value(result)

    def conjugate(self, a: Value) -> Value:
        return self.swap_rows(a)

    def relinearise(self, a: Value) -> Value:
        residues = self.mod_down(a)
        sums = self._switcher(a.level).switch(residues[2], self._key(RELINEARISATION, a.level))
        result = self._divided_by_special(sums, a.level)
        kernels.add_rows(self._tables, result, residues[:2], a.level - 1, result)
        return Value(result)

    def _divided_by_special(self, x: np.ndarray, level: int) -> np.ndarray:
        """Return extended polynomials [n, rows, N] divided by the special primes of a level."""
        result = self._empty(len(x), level, self._N)
        self._share(len(x), partial(self._switcher(level).mod_down, x, result))
        return result

    def _divided(self, x: np.ndarray, divisor: int) -> np.ndarray:
        """Return polynomials [n, level + 1, N] divided by the prime of their last row, whose index is `divisor`."""
        result = self._empty(len(x), x.shape[1] - 1, self._N)
        self._share(len(x), partial(switching.mod_down, self._tables, x, divisor, result))
        return result

    def rotate(self, a: Value, step: int) -> Value:
        return self.automorphism(a, self._parameters.galois_element(step))

    def swap_rows(self, a: Value) -> Value:
        return self.automorphism(a, 2 * self._N - 1)

    def rescale(self, a: Value) -> Value:
        return Value(self._divided(self.mod_down(a), a.level - 1))

    def decompose(self, a: Value) -> None:
        """Compute the digits that a value's rotations share. No other thread may use the value yet."""
        if a.residues is None:
            assert a.extended is not None
            a.residues = self._divided_by_special(a.extended, a.level)
        a.digits = self._switcher(a.level).decompose(a.residues[1])

    def automorphism(self, a: Value, element: int) -> Value:
        """Return the value behind X -> X**element, for whose Galois element there must be a key."""
        x, key, permutation = self.mod_down(a), self._key(element, a.level), self._keys.permutations[element]
        switcher = self._switcher(a.level)
        if a.rotations == 1:  # no other operation needs its digits
            result = switcher.rotate(x, key, permutation)
        else:
            if a.digits is None:
                self.decompose(a)
            assert a.digits is not None
            result = switcher.rotate_digits(x, a.digits, key, permutation)
        return Value(None, result, switcher.gadget.specials)


def _addresses(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([array.ctypes.data for array in arrays], np.int64)


class Approximate(Residues):
    """The operations of CKKS."""

    def to_ntt(self, residues: np.ndarray) -> Value:
        return Value(residues if residues.flags.writeable else residues.copy())

    def from_ntt(self, value: Value) -> np.ndarray:
        return self.mod_down(value)

    def multiply(self, a: Value, b: Value) -> Value:
        result = self._empty(3, a.level, self._N)
        kernels.multiply(self._tables, self.mod_down(a), self.mod_down(b), 0, result)
        return Value(result)

    def switch_modulus(self, a: Value) -> Value:
        return Value(np.ascontiguousarray(self.mod_down(a)[:, :-1]))


class Exact(Residues):
    """The operations of BFV."""

    def to_ntt(self, residues: np.ndarray) -> Value:
        return Value(self._each(kernels.forward, residues))

    def from_ntt(self, value: Value) -> np.ndarray:
        return self._each(kernels.inverse, self.mod_down(value))

    def _each(self, transform: Any, residues: np.ndarray) -> np.ndarray:
        result = residues if residues.flags.writeable else residues.copy()
        for component in result:
            for j, row in enumerate(component):
                transform(self._tables, row, j)
        return result

    def multiply(self, a: Value, b: Value) -> Value:
        assert isinstance(self._encoder, ExactEncoder)
        auxiliary = self._encoder.auxiliary[: a.level + self._encoder.more]
        constants = scaling(self._primes[: a.level], auxiliary, self._parameters.t)
        result = self._empty(3, a.level, self._N)
        operands = self.mod_down(a), self.mod_down(b)
        scaled_product(self._tables, constants, *operands, len(self._parameters.primes), result, self._all)
        return Value(result)

    def most_terms(self, level: int) -> int:
        assert isinstance(self._encoder, ExactEncoder)
        return self._encoder.most_terms(level)

    def _sum_of_products(self, values: Sequence[Value], plains: Sequence[Plain], level: int) -> np.ndarray:
        assert isinstance(self._encoder, ExactEncoder)
        auxiliary, first = self._encoder.auxiliary[: level + self._encoder.more], len(self._parameters.primes)
        constants = scaling(self._primes[:level], auxiliary, self._parameters.t)
        residues = [self._lifted(value, constants, first) for value in values]
        whole = self._tensor(residues, plains, self._encoder.product_primes(level))
        low, high = whole[:, :level], whole[:, level:]
        self._all([partial(scaled, self._tables, constants, low[c], high[c], first) for c in range(3)])
        return self._copied(low)

    def _lifted(self, value: Value, constants: Scaling, first: int) -> np.ndarray:
        """Return a value's residues modulo the data primes and the auxiliary ones, which are computed once."""
        residues, level = self.mod_down(value), value.level
        with value.lock:
            if value.lifted is None:
                whole = self._empty(2, level + len(constants.quotients), self._N)
                whole[:, :level] = residues
                for c in range(2):
                    extend_polynomial(self._tables, constants.up, residues[c], first, whole[c, level:])
                value.lifted = whole
        return value.lifted

    def switch_modulus(self, a: Value) -> Value:
        return self.rescale(a)
