"""When engines divide by the special primes, and when rotations share digits.

The answer's bytes depend on it, for every division rounds: so engines that are to agree in every bit take it from here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from he.engines.rns.encoder import Encoder
from he.engines.rns.value import Value
from he.program.algebra import Algebra
from he.program.operations import Conjugate, Plain, Rotate, SwapRows, arguments
from he.program.program import Program

_AUTOMORPHISMS = Rotate | SwapRows | Conjugate


class Lazy(Algebra[Value]):
    """What both schemes, and all engines that keep residues transformed, share.

    Values hold arrays [polynomials, rows, ...]: one entry for every row of residues, whatever stands for it.

    Args:
        encoder: the encoder of the circuit's parameters.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, parameters = encoder, encoder.parameters
        self._parameters, self._N, self._primes = parameters, parameters.poly_modulus_degree, parameters.data_primes

    def made_by(self, program: Program) -> Callable[[int, Value], None]:
        """Return what has to be called with the number of every value that the program makes, and the value.

        It notes how often a value will be read, and computes the digits that several rotations share before they begin.
        """
        operations = program.operations
        rotations = Counter(op.args[0] for op in operations if isinstance(op, _AUTOMORPHISMS))
        readers = Counter(a for op in operations for a in set(arguments(op)))

        def made(number: int, value: Value) -> None:
            value.rotations, value.readers = rotations[number], readers[number]
            if value.rotations > 1:
                self.decompose(value)

        return made

    def mod_down(self, a: Value) -> np.ndarray:
        """Return a value's residues; an extended value is divided by the special primes first, which is done once."""
        if a.residues is None:
            assert a.extended is not None
            if a.readers == 1:
                a.residues = self._divided_by_special(a.extended, a.level)
                return a.residues
            with a.lock:  # not shared: a thread that holds the lock must not take another task, which may want it
                if a.residues is None:
                    a.residues = self._divided_by_special(a.extended, a.level, shared=False)
        return a.residues

    def _lazy(self, values: Sequence[Value]) -> tuple[dict[int, np.ndarray], list[int]]:
        """Return the extended values without residues by index, if their sum can stay extended, and other indices."""
        extended = {i: v.extended for i, v in enumerate(values) if v.residues is None and v.extended is not None}
        others = [i for i in range(len(values)) if i not in extended]
        for i in others:
            residues = values[i].residues
            if residues is not None and len(residues) > 2:
                return {}, list(range(len(values)))
        return extended, others

    def add(self, values: Sequence[Value]) -> Value:
        extended, others = self._lazy(values)
        down = [self.mod_down(values[i]) for i in others]
        if not extended:
            return Value(self._sum(down, values[0].level))
        return self._extended(self._sum(list(extended.values()), values[0].level), down, values[0].level)

    def plain_dot(self, values: Sequence[Value], plains: Sequence[Plain]) -> Value:
        (extended, others), level = self._lazy(values), values[0].level
        down = [self.mod_down(values[i]) for i in others]
        rest = [self._products(down, [plains[i] for i in others], level)] if others else []
        if not extended:
            return Value(rest[0])
        total = self._products(list(extended.values()), [plains[i] for i in extended], level)
        return self._extended(total, rest, level)

    def cipher_dot(self, values: Sequence[Value], plains: Sequence[Plain]) -> Value:
        level, most = values[0].level, self._encoder.most_terms(values[0].level)
        parts = [slice(start, start + most) for start in range(0, len(values), most)]
        sums = [self._sum_of_products(values[part], plains[part], level) for part in parts]
        return Value(sums[0] if len(sums) == 1 else self._sum(sums, level))

    def rotate(self, a: Value, step: int) -> Value:
        return self.automorphism(a, self._parameters.galois_element(step))

    def swap_rows(self, a: Value) -> Value:
        return self.automorphism(a, 2 * self._N - 1)

    def conjugate(self, a: Value) -> Value:
        return self.swap_rows(a)

    def decompose(self, a: Value) -> None:
        """Compute the digits that a value's rotations share. No other thread may use the value yet."""
        if a.residues is None:
            assert a.extended is not None
            a.residues = self._divided_by_special(a.extended, a.level)
        a.digits = self._digits(a.residues[1], a.level)

    @abstractmethod
    def automorphism(self, a: Value, element: int) -> Value:
        """Return the value behind X -> X**element, for whose Galois element there must be a key."""

    @abstractmethod
    def _sum(self, arrays: Sequence[np.ndarray], level: int) -> np.ndarray:
        """Return the sum of arrays [polynomials, rows, ...]; polynomials that only some have are zero in the others."""

    @abstractmethod
    def _products(self, ciphertexts: Sequence[np.ndarray], plains: Sequence[Plain], level: int) -> np.ndarray:
        """Return the sum of products with plaintexts, of arrays as `_sum` takes them."""

    @abstractmethod
    def _sum_of_products(self, values: Sequence[Value], plains: Sequence[Plain], level: int) -> np.ndarray:
        """Return the sum of products with encrypted operands, of three polynomials [3, level, ...]."""

    @abstractmethod
    def _extended(self, total: np.ndarray, others: Sequence[np.ndarray], level: int) -> Value:
        """Return an extended value, to which the residues of others are added."""

    @abstractmethod
    def _digits(self, x: np.ndarray, level: int) -> np.ndarray:
        """Return the digits of one polynomial [level, ...] modulo every row's prime, [rows, digits, ...]."""

    @abstractmethod
    def _divided_by_special(self, x: np.ndarray, level: int, *, shared: bool = True) -> np.ndarray:
        """Return extended polynomials [n, rows, ...] divided by the special primes; threads may share the work."""
