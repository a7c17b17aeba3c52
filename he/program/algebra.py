"""What the operations of a program mean, on values of any kind, and `run`, which reads a program in order.

`apply` gives one operation its meaning: passes that write another program, and engines that evaluate on several
threads, go through the operations themselves and call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from he.program.operations import (
    Add,
    AddPlain,
    Conjugate,
    Input,
    Matrix,
    Multiply,
    Operation,
    Plain,
    PlainDot,
    Relinearise,
    Rescale,
    Rotate,
    Scalar,
    ScalarDot,
    SquareParts,
    SwapRows,
    SwitchModulus,
    arguments,
)
from he.program.program import Program

V = TypeVar("V")


class Algebra(Protocol[V]):
    """What a program's operations mean, on values of type V."""

    def input(self, index: int) -> V:
        """The `index`-th input."""

    def plain_dot(self, values: Sequence[V], plains: Sequence[Plain]) -> V:
        """Sum of slotwise products with packed plaintexts."""

    def scalar_dot(self, values: Sequence[V], scalars: Sequence[Scalar], constant: Scalar) -> V:
        """Sum of scalar multiples, plus a constant."""

    def matrix(self, values: Sequence[V], matrix: Matrix) -> Sequence[V]:
        """One value for every row: the sum of its multiples of the values, plus its constant."""
        return [self.scalar_dot(values, scalars, constant) for scalars, constant in matrix.rows()]

    def add_plain(self, a: V, plain: Plain) -> V:
        """A packed plaintext added."""

    def add(self, values: Sequence[V]) -> V:
        """Sum of at least one value."""

    def multiply(self, a: V, b: V) -> V:
        """Slotwise product, of three polynomials."""

    def square_parts(self, a: V, conjugate: V) -> V:
        """Squares of real and imaginary parts, of three polynomials."""
        raise TypeError("only CKKS slots have an imaginary part")

    def relinearise(self, a: V) -> V:
        """Back to two polynomials."""

    def rotate(self, a: V, step: int) -> V:
        """Every row, `step` slots to the left."""

    def swap_rows(self, a: V) -> V:
        """The two rows exchanged."""

    def conjugate(self, a: V) -> V:
        """Complex conjugates."""
        raise TypeError("only CKKS slots have an imaginary part")

    def switch_modulus(self, a: V) -> V:
        """One prime fewer."""

    def rescale(self, a: V) -> V:
        """One prime fewer, and the scale divided by it."""


def run(program: Program, algebra: Algebra[V]) -> list[V]:
    """Read a program in order: the values of its outputs. Values are released after their last use."""
    values: dict[int, V] = {}
    for position, operation in enumerate(program.operations):
        first = program.first_values[position]
        made = apply(algebra, operation, [values[a] for a in arguments(operation)])
        values.update(enumerate(made, first))
        for a in {*arguments(operation), *range(first, first + len(made))}:
            if program.last_use[a] <= position:
                del values[a]
        del made
    return [values[output] for output in program.outputs]


def apply(algebra: Algebra[V], operation: Operation, args: Sequence[V]) -> Sequence[V]:
    """The values that one operation defines in `algebra`."""
    return algebra.matrix(args, operation) if isinstance(operation, Matrix) else [_apply(algebra, operation, args)]


def _apply(algebra: Algebra[V], operation: Operation, args: Sequence[V]) -> V:
    match operation:
        case Input(index):
            return algebra.input(index)
        case PlainDot(_, operands):
            return algebra.plain_dot(args, operands)
        case ScalarDot(_, scalars, constant):
            return algebra.scalar_dot(args, scalars, constant)
        case AddPlain(_, operand):
            return algebra.add_plain(args[0], operand)
        case Add():
            return algebra.add(args)
        case Multiply():
            return algebra.multiply(args[0], args[1])
        case SquareParts():
            return algebra.square_parts(args[0], args[1])
        case Relinearise():
            return algebra.relinearise(args[0])
        case Rotate(_, step):
            return algebra.rotate(args[0], step)
        case SwapRows():
            return algebra.swap_rows(args[0])
        case Conjugate():
            return algebra.conjugate(args[0])
        case SwitchModulus():
            return algebra.switch_modulus(args[0])
        case Rescale():
            return algebra.rescale(args[0])
    raise TypeError(f"{operation} is no operation that an algebra gives one value")
