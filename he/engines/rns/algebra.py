"""Programs on arrays of residues: what the operations are on values that stay in transformed form, in either scheme."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit
from he.compile.place_bfv import plain_addends, plain_factors
from he.engines.rns.buffers import Buffers
from he.engines.rns.encode import encode_approximate, encode_exact
from he.engines.rns.threads import Workers
from he.kernels.passes import evaluate as kernels
from he.kernels.passes import switching
from he.kernels.passes.product import auxiliary_primes, scaled_product, scaling
from he.kernels.tables.chain import Chain, chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.roots import WORD, least_root, quotient
from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.ring.slots import automorphism, turning


class Value:
    """Residues [size, level, N] in transformed form; what was made of them is kept for whoever asks next.

    A rotation leaves them *raised*: times the special prime, with a row for it, [2, level + 1, N]. They are divided
    when somebody needs them so; sums and plain products do not, and one division does for all of their terms (double
    hoisting; J.-P. Bossuat et al., "Efficient bootstrapping for approximate homomorphic encryption with non-sparse
    keys", EUROCRYPT 2021, section 4.3).

    Attributes:
        residues: None until somebody has needed them.
        raised: None for what is no sum of rotations.
        digits: once a rotation has asked for them.
        lock: several operations may make the same thing.
        turns: rotations that will ask, if that is known.
        readers: operations that will, if that is known.
    """

    __slots__ = ("digits", "lock", "raised", "readers", "residues", "turns")

    def __init__(self, residues: np.ndarray | None, raised: np.ndarray | None = None) -> None:
        self.residues, self.raised = residues, raised
        self.digits: np.ndarray | None = None
        self.lock = RLock()
        self.turns = self.readers = 0

    @property
    def level(self) -> int:
        if self.residues is not None:
            return self.residues.shape[1]
        assert self.raised is not None
        return self.raised.shape[1] - 1

    def fresh(self, turns: int) -> Value:
        """The same residues with nothing remembered, for so many rotations."""
        value = Value(self.residues)
        value.turns = turns
        return value


class Residues(Algebra[Value]):
    """What both schemes share; plaintexts and keys are made ready once, here."""

    def __init__(self, circuit: Circuit, relin: np.ndarray | None, galois: dict[int, np.ndarray]) -> None:
        self._circuit, parameters = circuit, circuit.parameters
        self._N, self._primes = parameters.poly_modulus_degree, parameters.data_primes
        self._chain = self._make_chain()
        self._tables = self._chain.arrays
        self._special = parameters.levels
        everything = range(len(parameters.primes))
        self._relin = None if relin is None else self._stored(relin, everything)
        self._turns = {g: turning(self._N, g) for g in galois}
        # A key that is turned back before the product, so that only the result has to be turned.
        self._galois = {
            g: self._stored(np.take(key, np.argsort(automorphism(self._N, g)), axis=-1), everything)
            for g, key in galois.items()
        }
        program = circuit.program
        self._factors = {plain: self._factor(plain) for plain in plain_factors(program)}
        self._addends = {plain: self._addend(plain) for plain in plain_addends(program)}
        self._matrices = {op: self._packed(op) for op in program.operations if isinstance(op, Matrix)}
        self._imaginary = [pow(least_root(self._N, p), self._N // 2, p) for p in self._primes]  # X**(N / 2)
        self._both_parts = circuit.interface.both_parts
        self._inputs: Sequence[Callable[[], np.ndarray]] = ()
        self._empty = Buffers().empty
        self._all, self._share = Workers(1).all, Workers(1).share

    def on(self, inputs: Sequence[Callable[[], np.ndarray]], workers: Workers) -> Residues:
        """The same algebra, reading these residues when it comes to them, and sharing its work."""
        bound = copy(self)
        bound._inputs, bound._all, bound._share = inputs, workers.all, workers.share
        return bound

    def _copied(self, x: np.ndarray) -> np.ndarray:
        result = self._empty(*x.shape)
        result[:] = x
        return result

    def _make_chain(self) -> Chain:
        return chain(self._N, self._circuit.parameters.primes)

    @abstractmethod
    def entered(self, residues: np.ndarray) -> Value:
        """A ciphertext's residues as a value."""

    @abstractmethod
    def left(self, value: Value) -> np.ndarray:
        """A value as a ciphertext's residues."""

    @abstractmethod
    def _coefficients(self, plain: Plain) -> np.ndarray:
        """The polynomial that a packed plaintext multiplies with."""

    @abstractmethod
    def _addend(self, plain: Plain) -> np.ndarray:
        """What is added for a packed plaintext, transformed: [level, N]."""

    @abstractmethod
    def _integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        """A scalar as an integer modulo every prime of a level: as a factor, or as what is added to every entry."""

    def _factor(self, plain: Plain) -> Factors:
        """For the primes of its level and the special one."""
        primes = [*range(plain.level), self._special]
        return self._stored(self._transformed(self._coefficients(plain), primes), primes)

    def _stored(self, residues: np.ndarray, primes: Sequence[int]) -> Factors:
        """Polynomials [..., primes, N] as products want them for one of their factors."""
        result = np.empty_like(residues)
        for place in np.ndindex(residues.shape[:-2]):
            for j, prime in enumerate(primes):
                w, w_quotient = self._chain.radix[prime].tolist()
                kernels.scale_row(self._tables, residues[*place, j], prime, w, w_quotient, result[*place, j])
        return Factors(result, [self._chain.primes[prime] for prime in primes])

    def _transformed(self, coefficients: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        """Integers [N], int64 or Python's, modulo some primes."""
        rows = np.empty((len(primes), self._N), np.uint64)
        for row, prime in zip(rows, primes, strict=True):
            row[:] = coefficients % self._chain.primes[prime]
            kernels.forward(self._tables, row, prime)
        return rows

    def settled(self, a: Value) -> np.ndarray:
        """A value's residues, divided by the special prime if that had been put off."""
        if a.residues is None:
            assert a.raised is not None
            if a.readers == 1:
                a.residues = self._divided(a.raised, self._special)
                return a.residues
            with a.lock:  # in one piece: whoever holds it must not take up other tasks, which may want it too
                if a.residues is None:
                    residues = self._empty(2, a.level, self._N)
                    switching.divide(self._tables, a.raised, self._special, residues, 0, 2)
                    a.residues = residues
        return a.residues

    def _of_one_size(self, values: Sequence[Value]) -> list[np.ndarray]:
        """Residues with as many polynomials as the largest has: what a product has not been relinearised yet."""
        settled = [self.settled(value) for value in values]
        size = max(len(residues) for residues in settled)
        return [
            np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), np.uint64)]) if len(x) < size else x
            for x in settled
        ]

    def _put_off(self, values: Sequence[Value]) -> tuple[dict[int, np.ndarray], list[int]]:
        """The values that are raised and nothing else, by place, if their sum can be raised; and the other places."""
        raised = {i: v.raised for i, v in enumerate(values) if v.residues is None and v.raised is not None}
        others = [i for i in range(len(values)) if i not in raised]
        for i in others:
            residues = values[i].residues
            if residues is not None and len(residues) > 2:
                return {}, list(range(len(values)))
        return raised, others

    def input(self, index: int) -> Value:
        return self.entered(self._inputs[index]())

    def add(self, values: Sequence[Value]) -> Value:
        raised, others = self._put_off(values)
        if not raised:
            return Value(self._sum(self._of_one_size(values), values[0].level - 1))
        total = self._sum(list(raised.values()), self._special)
        for i in others:
            kernels.add_raised(self._tables, self.settled(values[i]), self._special, total)
        return Value(None, total)

    def _sum(self, arrays: Sequence[np.ndarray], last: int) -> np.ndarray:
        total = self._empty(*arrays[0].shape)
        kernels.sum_rows(self._tables, _addresses(arrays[: kernels.MAX_ADDED]), last, total)
        for start in range(kernels.MAX_ADDED, len(arrays), kernels.MAX_ADDED - 1):
            some = [total, *arrays[start : start + kernels.MAX_ADDED - 1]]
            kernels.sum_rows(self._tables, _addresses(some), last, total)
        return total

    def add_plain(self, a: Value, plain: Plain) -> Value:
        result = self._copied(self.settled(a))
        kernels.add_rows(self._tables, result[:1], self._addends[plain][None], a.level - 1, result[:1])
        return Value(result)

    def plain_dot(self, values: Sequence[Value], plains: Sequence[Plain]) -> Value:
        factors = [self._factors[plain] for plain in plains]
        raised, others = self._put_off(values)
        total = self._products(list(raised.values()), [factors[i] for i in raised], self._special) if raised else None
        if not others:
            return Value(None, total)
        ciphertexts = self._of_one_size([values[i] for i in others])
        rest = self._products(ciphertexts, [factors[i] for i in others], values[0].level - 1)
        if total is None:
            return Value(rest)
        kernels.add_raised(self._tables, rest, self._special, total)
        return Value(None, total)

    def _products(self, ciphertexts: Sequence[np.ndarray], factors: Sequence[Factors], last: int) -> np.ndarray:
        result = self._empty(*ciphertexts[0].shape)
        rows = np.array([factor.addresses for factor in factors])
        kernels.plain_products(self._tables, _addresses(ciphertexts), rows, last, result)
        return result

    def scalar_dot(self, values: Sequence[Value], scalars: Sequence[Scalar], constant: Scalar) -> Value:
        level = values[0].level
        weights = np.empty((level, len(values), 2), np.int64)
        for i, scalar in enumerate(scalars):
            for j, w in enumerate(self._integers(scalar, level, addend=False)):
                weights[j, i] = w, quotient(w, self._primes[j])
        ciphertexts = self._of_one_size(values)
        result = self._empty(*ciphertexts[0].shape)
        kernels.scalar_products(self._tables, _addresses(ciphertexts), weights, result)
        kernels.add_constants(self._tables, result[0], self._constants(constant, level))
        return Value(result)

    def _constants(self, constant: Scalar, level: int) -> np.ndarray:
        """What is added to the halves of every row, [level, 2], for a number in all slots or all their parts."""
        added = self._integers(constant, level, addend=True)
        if not self._both_parts:
            return np.array([[c, c] for c in added], np.uint64)
        rows = zip(added, self._imaginary, self._primes, strict=False)
        return np.array([[c * (1 + i) % p, c * (1 - i) % p] for c, i, p in rows], np.uint64)

    def _packed(self, matrix: Matrix) -> np.ndarray:
        """Weights as `matrix_products` takes them: uint64 [level, rows / 4, terms, 4]."""
        rows, terms = matrix.weights.shape
        numbers = [
            self._integers(Scalar(w, matrix.level, matrix.scale), matrix.level, addend=False)
            for w in matrix.weights.ravel().tolist()
        ]
        primes = np.array(self._primes[: matrix.level], object)
        residues = (np.array(numbers, object) << WORD) % primes  # [rows * terms, level]
        padded = np.zeros((-(-rows // 4) * 4, terms, matrix.level), np.uint64)
        padded[:rows] = residues.reshape(rows, terms, matrix.level)
        return np.ascontiguousarray(padded.reshape(-1, 4, terms, matrix.level).transpose(3, 0, 2, 1))

    def matrix(self, values: Sequence[Value], matrix: Matrix) -> list[Value]:
        weights, level = self._matrices[matrix], values[0].level
        ciphertexts = [self.settled(value) for value in values]
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
        halves = np.empty((a.level, 2, 2), np.int64)
        for j, (i, p) in enumerate(zip(self._imaginary[: a.level], self._primes, strict=False)):
            halves[j] = [[w, quotient(w, p)] for w in (p - i, i)]
        result, operands = self._empty(3, a.level, self._N), (self.settled(a), self.settled(conjugate))
        for prime in range(a.level):
            kernels.square_parts(self._tables, *operands, halves, prime, result)
        return Value(result)

    def conjugate(self, a: Value) -> Value:
        return self.swap_rows(a)

    def relinearise(self, a: Value) -> Value:
        assert self._relin is not None
        residues = self.settled(a)
        x, sums = residues[2], self._empty(2, a.level + 1, self._N)
        raised, key = self._raised(x), self._relin.addresses
        self._share(a.level + 1, partial(switching.switch, self._tables, x, raised, key, self._special, sums))
        result = self._divided(sums, self._special)
        kernels.add_rows(self._tables, result, residues[:2], a.level - 1, result)
        return Value(result)

    def _raised(self, x: np.ndarray) -> np.ndarray:
        """See `switching.raise_rows`."""
        raised = self._empty(*x.shape)
        self._share(len(x), partial(switching.raise_rows, self._tables, x, raised))
        return raised

    def _divided(self, x: np.ndarray, divisor: int) -> np.ndarray:
        """Polynomials [n, level + 1, N] by the prime of their last rows."""
        result = self._empty(len(x), x.shape[1] - 1, self._N)
        self._share(len(x), partial(switching.divide, self._tables, x, divisor, result))
        return result

    def rotate(self, a: Value, step: int) -> Value:
        return self._turned(a, self._circuit.parameters.galois_element(step))

    def swap_rows(self, a: Value) -> Value:
        return self._turned(a, 2 * self._N - 1)

    def rescale(self, a: Value) -> Value:
        return Value(self._divided(self.settled(a), a.level - 1))

    def decompose(self, a: Value) -> None:
        """Make the digits that its rotations share. Not for values that several threads know of already."""
        if a.residues is None:
            assert a.raised is not None
            a.residues = self._divided(a.raised, self._special)
        x, level, finished = a.residues[1], a.level, a.level > switching.MAX_LOOSE
        raised, digits = self._raised(x), self._empty(level + 1, level, self._N)
        self._share(level + 1, partial(switching.decompose, self._tables, x, raised, self._special, finished, digits))
        a.digits = digits

    def _turned(self, a: Value, element: int) -> Value:
        x, key, turn = self.settled(a), self._galois[element].addresses, self._turns[element]
        result = self._empty(2, a.level + 1, self._N)
        if a.turns == 1:  # nobody else will want its digits
            operands = x, self._raised(x[1]), key, self._special, turn, result
            self._share(a.level + 1, partial(switching.rotate, self._tables, *operands))
        else:
            if a.digits is None:
                self.decompose(a)
            switching.rotate_digits(self._tables, x, a.digits, key, self._special, turn, result)
        return Value(None, result)


def _addresses(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([array.ctypes.data for array in arrays], np.int64)


class Approximate(Residues):
    """CKKS."""

    def entered(self, residues: np.ndarray) -> Value:
        return Value(residues if residues.flags.writeable else residues.copy())

    def left(self, value: Value) -> np.ndarray:
        return self.settled(value)

    def _coefficients(self, plain: Plain) -> np.ndarray:
        return encode_approximate(self._circuit.program.plaintexts[plain.index], plain.scale)

    def _addend(self, plain: Plain) -> np.ndarray:
        return self._transformed(self._coefficients(plain), range(plain.level))

    def _integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        integer = round(scalar.value * scalar.scale)
        return [integer % prime for prime in self._primes[:level]]

    def multiply(self, a: Value, b: Value) -> Value:
        result = self._empty(3, a.level, self._N)
        kernels.multiply(self._tables, self.settled(a), self.settled(b), 0, result)
        return Value(result)

    def switch_modulus(self, a: Value) -> Value:
        return Value(np.ascontiguousarray(self.settled(a)[:, :-1]))


class Exact(Residues):
    """BFV."""

    def _make_chain(self) -> Chain:
        primes = self._circuit.parameters.primes
        self._auxiliary = auxiliary_primes(self._N, primes, self._t)
        return chain(self._N, (*primes, *self._auxiliary))

    def entered(self, residues: np.ndarray) -> Value:
        return Value(self._each(kernels.forward, residues))

    def left(self, value: Value) -> np.ndarray:
        return self._each(kernels.inverse, self.settled(value))

    def _each(self, transform: Any, residues: np.ndarray) -> np.ndarray:
        result = residues if residues.flags.writeable else residues.copy()
        for component in result:
            for j, row in enumerate(component):
                transform(self._tables, row, j)
        return result

    @property
    def _t(self) -> int:
        assert self._circuit.parameters.plain_modulus is not None
        return self._circuit.parameters.plain_modulus

    def _coefficients(self, plain: Plain) -> np.ndarray:
        return encode_exact(self._circuit.program.plaintexts[plain.index], self._t)

    def _addend(self, plain: Plain) -> np.ndarray:
        q = int(np.prod([int(p) for p in self._primes[: plain.level]], dtype=object))
        lifted = [self._lifted(c, q) for c in self._coefficients(plain).tolist()]
        return self._transformed(np.array(lifted, object), range(plain.level))

    def _lifted(self, value: int, q: int) -> int:
        """round(value q / t): what a plain value is in a ciphertext."""
        return (2 * value % (2 * self._t) * q + self._t) // (2 * self._t)

    def _integers(self, scalar: Scalar, level: int, *, addend: bool) -> list[int]:
        primes, value = self._primes[:level], int(scalar.value) % self._t
        if addend:
            value = self._lifted(value, int(np.prod([int(p) for p in primes], dtype=object)))
        elif value > self._t // 2:
            value -= self._t
        return [value % prime for prime in primes]

    def multiply(self, a: Value, b: Value) -> Value:
        constants = scaling(self._primes[: a.level], self._auxiliary[: a.level + 1], self._t)
        result = self._empty(3, a.level, self._N)
        start = len(self._circuit.parameters.primes)
        operands = self.settled(a), self.settled(b)
        scaled_product(self._tables, constants.arrays, *operands, start, result, self._all)
        return Value(result)

    def switch_modulus(self, a: Value) -> Value:
        return self.rescale(a)
