"""The algebra that counts the steps of a program on ciphertexts, and the levels at which its keys are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.readers.work import Switches, Work
from he.ring.params import Parameters


@dataclass(frozen=True)
class Counted:
    """A ciphertext that is only counted: its identity, its number of data primes, and its number of polynomials."""

    identity: int
    level: int
    size: int = 2
    extended: bool = False  # it is held times the special prime: its mod-down is still to be done


class WorkAlgebra(Algebra[Counted]):
    """Counts the work that a program takes.

    Args:
        parameters: the parameters for which the program was placed.
        level: the level of inputs; that of fresh ciphertexts by default.

    Attributes:
        rotated: the number of rotations of each value that was rotated, by its identity.
        uses: the levels at which each key was used, by its Galois element; 1 stands for relinearisation.
    """

    def __init__(self, parameters: Parameters, level: int | None = None) -> None:
        self._level = parameters.levels if level is None else level
        self._parameters, self._exact = parameters, parameters.scheme.exact
        self._identities = 0
        self._divided: set[int] = set()
        self._lifted: set[int] = set()  # values that are known modulo auxiliary primes, too
        self._work, self._switches = Work(), dict[int, Switches]()
        self.rotated: dict[int, int] = {}
        self.uses: dict[int, set[int]] = {}

    def take(self) -> tuple[Work, dict[int, Switches]]:
        """Return the steps since this was called last, and by level those that depend on the gadget."""
        taken = self._work, self._switches
        self._work, self._switches = Work(), {}
        return taken

    def input(self, index: int) -> Counted:
        return self._value(self._level)

    def plain_dot(self, values: Sequence[Counted], plains: Sequence[Plain]) -> Counted:
        level, extended = values[0].level, self._lazy(values)
        self._multiply_rows(2 * len(values), level, extended)
        return self._value(level, extended=extended)

    def cipher_dot(self, values: Sequence[Counted], plains: Sequence[Plain]) -> Counted:
        self.mod_down(*values)
        level, rows = values[0].level, values[0].level
        if self._exact:  # a value is extended only once, the sum is scaled like a product; see `multiply`
            fresh, rows = {v.identity for v in values} - self._lifted, 2 * level + 1
            self._lifted |= fresh
            self._do(rows * (2 * len(fresh) + 3), level * (level + 1) * (2 * len(fresh) + 2 * 3))
        self._do(products=2 * len(values) * rows, streamed=2 * len(values) * rows)  # every operand is read once
        return self._value(level, 3)

    def add_cipher(self, a: Counted, plain: Plain) -> Counted:
        self.mod_down(a)
        self._do(products=2 * a.level)
        return self._value(a.level, a.size)

    def scalar_dot(self, values: Sequence[Counted], scalars: Sequence[Scalar], constant: Scalar) -> Counted:
        self.mod_down(*values)
        self._do(products=2 * values[0].level * len(values))
        return self._value(values[0].level)

    def matrix(self, values: Sequence[Counted], matrix: Matrix) -> list[Counted]:
        self.mod_down(*values)
        self._do(products=2 * values[0].level * matrix.weights.size)
        return [self._value(values[0].level) for _ in matrix.constants]

    def add_plain(self, a: Counted, plain: Plain) -> Counted:
        self.mod_down(a)
        self._do(products=a.level)
        return self._value(a.level, a.size)

    def add(self, values: Sequence[Counted]) -> Counted:
        level, size, extended = values[0].level, max(v.size for v in values), self._lazy(values)
        self._multiply_rows(size * (len(values) - 1), level, extended)
        return self._value(level, size, extended)

    def multiply(self, a: Counted, b: Counted) -> Counted:
        self.mod_down(a, b)
        level, operands = a.level, 1 if a == b else 2
        if self._exact:  # both bases together hold 2 level + 1 primes; each extension and division is a matrix product
            bases = 2 * level + 1
            self._do(transforms=bases * (2 * operands + 3), products=level * (level + 1) * (2 * operands + 2 * 3))
        self._do(products=(2 * level + 1 if self._exact else level) * (2 + operands))
        return self._value(level, 3)

    def square_parts(self, a: Counted, conjugate: Counted) -> Counted:
        self.mod_down(a, conjugate)
        self._do(products=8 * a.level)  # two sums, two squares, and their difference
        return self._value(a.level, 3)

    def relinearise(self, a: Counted) -> Counted:
        self.mod_down(a)
        self.uses.setdefault(1, set()).add(a.level)
        self._switch(a.level, Switches(decomposed=1, multiplied=1, divided=1))
        return self._value(a.level)

    def rotate(self, a: Counted, step: int) -> Counted:
        return self._permute(a, self._parameters.galois_element(step))

    def swap_rows(self, a: Counted) -> Counted:
        return self._permute(a, 2 * self._parameters.poly_modulus_degree - 1)

    def conjugate(self, a: Counted) -> Counted:
        return self.swap_rows(a)

    def switch_modulus(self, a: Counted) -> Counted:
        self.mod_down(a)
        if self._exact:
            self._do(transforms=a.size * a.level, products=a.size * (a.level - 1))
        return self._value(a.level - 1, a.size)

    def rescale(self, a: Counted) -> Counted:
        self.mod_down(a)
        self._do(transforms=a.size * a.level, products=a.size * (a.level - 1))
        return self._value(a.level - 1, a.size)

    def _permute(self, a: Counted, element: int) -> Counted:
        self.mod_down(a)
        self.uses.setdefault(element, set()).add(a.level)
        again = a.identity in self.rotated
        self.rotated[a.identity] = self.rotated.get(a.identity, 0) + 1
        self._switch(a.level, Switches(shared=1) if again else Switches(decomposed=1, multiplied=1))
        return self._value(a.level, extended=True)

    def _lazy(self, values: Sequence[Counted]) -> bool:
        """Return whether the sum of these stays extended, for a lazy mod-down; otherwise divide each of them now."""
        if any(v.extended and v.identity not in self._divided for v in values) and all(v.size == 2 for v in values):
            return True
        self.mod_down(*values)
        return False

    def mod_down(self, *values: Counted) -> None:
        """Count the division of each extended value by the special primes, once."""
        for v in values:
            if v.extended and v.identity not in self._divided:
                self._divided.add(v.identity)
                self._switch(v.level, Switches(divided=1))

    def _multiply_rows(self, polynomials: int, level: int, extended: bool) -> None:
        """Count slotwise products of polynomials modulo all of their primes."""
        if extended:
            self._switch(level, Switches(extended=polynomials))
        else:
            self._do(products=polynomials * level)

    def _switch(self, level: int, some: Switches) -> None:
        self._switches[level] = self._switches.get(level, Switches()) + some

    def _do(self, transforms: int = 0, products: int = 0, streamed: int = 0) -> None:
        self._work += Work(transforms, products, streamed)

    def _value(self, level: int, size: int = 2, extended: bool = False) -> Counted:
        self._identities += 1
        return Counted(self._identities, level, size, extended)
