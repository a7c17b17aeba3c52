"""The algebra that follows the input through a CKKS program whose operands are rounded as they are encoded.

A weight below its scale may be encoded as zero. Where all weights on the way to an output are, the output's ciphertext
is no encryption of anything: it is legible without a key, and every client refuses it. So what is rounded up or down at
random (`he.circuit.rounding`) counts as zero unless it is 1 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.program.program import Program
from he.ring.slots import polynomial


@dataclass(frozen=True, eq=False)
class Dependence:
    """Whether a value depends on an input: bool [1], or [members] for a group of values (`he.program.fold`)."""

    found: np.ndarray

    def take(self, places: np.ndarray) -> Dependence:
        return Dependence(self.found[places])

    @classmethod
    def join(cls, values: Sequence[Dependence]) -> Dependence:
        return Dependence(np.concatenate([v.found for v in values]))


class DependenceAlgebra(Algebra[Dependence]):
    """Says which values of a placed CKKS program depend on an input.

    Sums whose terms cancel count as dependent; `he.readers.clear.constant_outputs` finds those.

    Args:
        program: the program whose plaintexts the operands name.
    """

    def __init__(self, program: Program) -> None:
        self._plaintexts = program.plaintexts
        self._peaks: dict[int, float] = {}

    def input(self, index: int) -> Dependence:
        return Dependence(np.ones(1, bool))

    def plain_dot(self, values: Sequence[Dependence], plains: Sequence[Plain]) -> Dependence:
        return self.add([v for v, p in zip(values, plains, strict=True) if self._is_kept(p)] or [_NONE])

    def scalar_dot(self, values: Sequence[Dependence], scalars: Sequence[Scalar], constant: Scalar) -> Dependence:
        kept = [v for v, s in zip(values, scalars, strict=True) if abs(s.value * s.scale) >= 1]
        return self.add(kept or [replace(values[0], found=np.zeros_like(values[0].found))])

    def matrix(self, values: Sequence[Dependence], matrix: Matrix) -> list[Dependence]:
        found = self.rows(Dependence.join(values), matrix).found
        return [Dependence(found[row : row + 1]) for row in range(len(found))]

    def rows(self, value: Dependence, matrix: Matrix) -> Dependence:
        return Dependence((np.abs(matrix.weights * matrix.scale) >= 1) @ value.found)

    def add_plain(self, a: Dependence, plain: Plain) -> Dependence:
        return a

    def add(self, values: Sequence[Dependence]) -> Dependence:
        return Dependence(np.any([v.found for v in values], axis=0))

    def multiply(self, a: Dependence, b: Dependence) -> Dependence:
        return self.add([a, b])

    def square_parts(self, a: Dependence, conjugate: Dependence) -> Dependence:
        return a

    def conjugate(self, a: Dependence) -> Dependence:
        return a

    def relinearise(self, a: Dependence) -> Dependence:
        return a

    def rotate(self, a: Dependence, step: int) -> Dependence:
        return a

    def swap_rows(self, a: Dependence) -> Dependence:
        return a

    def switch_modulus(self, a: Dependence) -> Dependence:
        return a

    def rescale(self, a: Dependence) -> Dependence:
        return a

    def _is_kept(self, plain: Plain) -> bool:
        """Return whether any coefficient of the encoded plaintext is certain not to be rounded to zero."""
        slots = self._plaintexts[plain.index]
        # The squares of the N coefficients add up to the mean square of the slots.
        if np.sqrt(np.mean(slots**2) / (2 * len(slots))) * plain.scale > 1:
            return True
        if plain.index not in self._peaks:
            self._peaks[plain.index] = float(np.abs(polynomial(slots)).max())
        return self._peaks[plain.index] * plain.scale >= 1


_NONE = Dependence(np.zeros(1, bool))
