"""Algebras give the operations of a program a meaning on values of one kind; `run` reads a program by one.

`apply` evaluates a single operation. Passes that write another program, and engines that evaluate on several threads,
walk through the operations themselves and call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from he.program.operations import (
    Add,
    AddCipher,
    AddPlain,
    CipherDot,
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
    """The meaning of every operation on values of type V."""

    def input(self, index: int) -> V:
        """Return the `index`-th input."""

    def plain_dot(self, values: Sequence[V], plains: Sequence[Plain]) -> V:
        """Return the sum of the slotwise products of values and packed plaintexts."""

    def cipher_dot(self, values: Sequence[V], plains: Sequence[Plain]) -> V:
        """Return the same sum with operands that are encrypted; its ciphertext has three polynomials.

        To an algebra without ciphertexts it is the sum of plain products.
        """
        return self.plain_dot(values, plains)

    def scalar_dot(self, values: Sequence[V], scalars: Sequence[Scalar], constant: Scalar) -> V:
        """Return the sum of scalar multiples of the values, plus a constant."""

    def matrix(self, values: Sequence[V], matrix: Matrix) -> Sequence[V]:
        """Return one value for every row of the matrix: the weighted sum of the values, plus the row's constant."""
        return [self.scalar_dot(values, scalars, constant) for scalars, constant in matrix.rows()]

    def add_plain(self, a: V, plain: Plain) -> V:
        """Return the sum of a value and a packed plaintext."""

    def add_cipher(self, a: V, plain: Plain) -> V:
        """Return the sum of a value and a packed operand that is encrypted; see `cipher_dot`."""
        return self.add_plain(a, plain)

    def add(self, values: Sequence[V]) -> V:
        """Return the sum of at least one value."""

    def multiply(self, a: V, b: V) -> V:
        """Return the slotwise product; its ciphertext has three polynomials."""

    def square_parts(self, a: V, conjugate: V) -> V:
        """Return the squares of the real and of the imaginary parts; the ciphertext has three polynomials.

        Raises:
            TypeError: if slots have no imaginary part.
        """
        raise TypeError("only CKKS slots have an imaginary part")

    def relinearise(self, a: V) -> V:
        """Return the same slots in a ciphertext of two polynomials."""

    def rotate(self, a: V, step: int) -> V:
        """Return the value with every row of slots rotated `step` places to the left."""

    def swap_rows(self, a: V) -> V:
        """Return the value with its two rows of slots exchanged."""

    def conjugate(self, a: V) -> V:
        """Return the complex conjugates of the slots.

        Raises:
            TypeError: if slots have no imaginary part.
        """
        raise TypeError("only CKKS slots have an imaginary part")

    def switch_modulus(self, a: V) -> V:
        """Return the same slots at one data prime fewer."""

    def rescale(self, a: V) -> V:
        """Return the same slots at one data prime fewer, with the scale divided by that prime."""


def run(program: Program, algebra: Algebra[V]) -> list[V]:
    """Read a program in order and return the values of its outputs; others are released after their last use."""
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
    """Return the values that one operation defines in `algebra`, given the values that it reads."""
    return algebra.matrix(args, operation) if isinstance(operation, Matrix) else [_apply(algebra, operation, args)]


def _apply(algebra: Algebra[V], operation: Operation, args: Sequence[V]) -> V:
    match operation:
        case Input(index):
            return algebra.input(index)
        case CipherDot(_, operands):
            return algebra.cipher_dot(args, operands)
        case PlainDot(_, operands):
            return algebra.plain_dot(args, operands)
        case ScalarDot(_, scalars, constant):
            return algebra.scalar_dot(args, scalars, constant)
        case AddCipher(_, operand):
            return algebra.add_cipher(args[0], operand)
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
    raise TypeError(f"`operation` must be one of `he.program.operations`, got {operation}")
