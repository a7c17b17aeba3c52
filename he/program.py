"""A program over packed slot vectors, as a value: a list of operations, interpreted by any algebra.

The same program is read by many: one algebra computes in the clear, one bounds the noise, one places modulus switches,
one counts the cost, and an engine evaluates it on ciphertexts. `run` is the only interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from he.operations import (
    Add,
    AddPlain,
    Bundle,
    Conjugate,
    Input,
    Matrix,
    Multiply,
    Operation,
    Part,
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
    plains,
)

V = TypeVar("V")


class Algebra(Protocol[V]):
    """What a program's operations mean, on values of type V. A bundle is a sequence of them."""

    def input(self, index: int) -> V:
        """The `index`-th input."""

    def plain_dot(self, values: Sequence[V], plains: Sequence[Plain]) -> V:
        """Sum of slotwise products with packed plaintexts."""

    def scalar_dot(self, values: Sequence[V], scalars: Sequence[Scalar], constant: Scalar) -> V:
        """Sum of scalar multiples, plus a constant."""

    def matrix(self, values: Sequence[V], matrix: Matrix) -> Any:
        """The bundle of all rows."""
        return [self.scalar_dot(values, scalars, constant) for scalars, constant in matrix.rows()]

    def bundle(self, values: Sequence[V]) -> Any:
        """Values as a bundle."""
        return values

    def part(self, bundle: Any, index: int) -> V:
        """One value of a bundle."""
        return bundle[index]

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


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in order; operation i defines value i.

    Attributes:
        slots: length of every packed plaintext; 1 if there are none and all slots are alike.
        inputs: number of input ciphertexts.
        operations: each refers to earlier values only.
        plaintexts: packed operands, int64 (BFV, modulo t) or float64 (CKKS), each [slots] and read-only.
        output: the value that is the result.

    Raises:
        ValueError: if an operation refers to a value, an input or a plaintext that is not there.
    """

    slots: int
    inputs: int
    operations: tuple[Operation, ...]
    plaintexts: tuple[np.ndarray, ...] = field(repr=False)
    output: int

    def __post_init__(self) -> None:
        for position, operation in enumerate(self.operations):
            if not all(0 <= a < position for a in arguments(operation)):
                raise ValueError(f"operation {position} refers to a later value: {operation}")
            if isinstance(operation, Input) and not 0 <= operation.index < self.inputs:
                raise ValueError(f"operation {position} reads input {operation.index} of {self.inputs}")
            if not all(0 <= p.index < len(self.plaintexts) for p in plains(operation)):
                raise ValueError(f"operation {position} refers to a plaintext that is not there: {operation}")
        if not 0 <= self.output < len(self.operations):
            raise ValueError(f"`output` must be one of {len(self.operations)} values, got {self.output}")
        for plaintext in self.plaintexts:
            if plaintext.shape != (self.slots,):
                raise ValueError(f"plaintexts must have shape ({self.slots},), got {plaintext.shape}")
            plaintext.setflags(write=False)

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For every value the position of the last operation that reads it, so that `run` can let go of it."""
        last = list(range(len(self.operations)))
        for position, operation in enumerate(self.operations):
            for a in arguments(operation):
                last[a] = position
        last[self.output] = len(self.operations)
        return tuple(last)

    @cached_property
    def rotation_steps(self) -> frozenset[int]:
        """Distinct steps that need a Galois key."""
        return frozenset(op.step for op in self.operations if isinstance(op, Rotate))

    @cached_property
    def swaps_rows(self) -> bool:
        """Whether the key of the row swap, or of complex conjugation, is needed."""
        return any(isinstance(op, SwapRows | Conjugate) for op in self.operations)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often every kind of operation occurs; all terms of `PlainDot`s as "plain products", likewise "matrix"."""
        counts = Counter(type(op).__name__ for op in self.operations)
        counts["plain products"] = sum(len(op.plains) for op in self.operations if isinstance(op, PlainDot))
        counts["matrix products"] = sum(op.weights.size for op in self.operations if isinstance(op, Matrix))
        return counts


def run(program: Program, algebra: Algebra[V]) -> V:
    """Interpret the program; values are released after their last use."""
    values: dict[int, V] = {}
    for position, operation in enumerate(program.operations):
        values[position] = apply(algebra, operation, [values[a] for a in arguments(operation)])
        for a in {*arguments(operation), position}:
            if program.last_use[a] <= position:
                del values[a]
    return values[program.output]


def apply(algebra: Algebra[V], operation: Operation, args: Sequence[V]) -> V:
    """One operation's meaning in `algebra`."""
    match operation:
        case Input(index):
            return algebra.input(index)
        case PlainDot(_, operands):
            return algebra.plain_dot(args, operands)
        case ScalarDot(_, scalars, constant):
            return algebra.scalar_dot(args, scalars, constant)
        case Matrix():
            return algebra.matrix(args, operation)
        case Bundle():
            return algebra.bundle(args)
        case Part(_, index):
            return algebra.part(args[0], index)
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


class Recorder:
    """An algebra whose values are positions: interpreting by it writes a program down.

    The numbers that `he.polynomial` hands over are wrapped as `Scalar`s on the way.
    """

    def __init__(self, plaintexts: Iterable[np.ndarray] = ()) -> None:
        self._operations: list[Operation] = []
        self._plaintexts = list(plaintexts)
        self._inputs = 0

    def plaintext(self, slots: np.ndarray) -> Plain:
        """Keep a packed operand and return its name."""
        self._plaintexts.append(slots)
        return Plain(len(self._plaintexts) - 1)

    def input(self, index: int) -> int:
        self._inputs = max(self._inputs, index + 1)
        return self._record(Input(index))

    def plain_dot(self, values: Sequence[int], plains: Sequence[Plain]) -> int:
        return self._record(PlainDot(tuple(values), tuple(plains)))

    def scalar_dot(self, values: Sequence[int], scalars: Sequence[float | Scalar], constant: float | Scalar) -> int:
        return self._record(ScalarDot(tuple(values), tuple(_scalar(s) for s in scalars), _scalar(constant)))

    def matrix(self, values: Sequence[int], matrix: Matrix) -> int:
        return self._record(replace(matrix, args=tuple(values)))

    def bundle(self, values: Sequence[int]) -> int:
        return self._record(Bundle(tuple(values)))

    def part(self, bundle: int, index: int) -> int:
        return self._record(Part((bundle,), index))

    def add_plain(self, a: int, plain: Plain) -> int:
        return self._record(AddPlain((a,), plain))

    def add(self, values: Sequence[int]) -> int:
        return values[0] if len(values) == 1 else self._record(Add(tuple(values)))

    def multiply(self, a: int, b: int) -> int:
        return self._record(Multiply((a, b)))

    def square_parts(self, a: int, conjugate: int) -> int:
        return self._record(SquareParts((a, conjugate)))

    def relinearise(self, a: int) -> int:
        return self._record(Relinearise((a,)))

    def rotate(self, a: int, step: int) -> int:
        return self._record(Rotate((a,), step)) if step else a

    def swap_rows(self, a: int) -> int:
        return self._record(SwapRows((a,)))

    def conjugate(self, a: int) -> int:
        return self._record(Conjugate((a,)))

    def switch_modulus(self, a: int) -> int:
        return self._record(SwitchModulus((a,)))

    def rescale(self, a: int) -> int:
        return self._record(Rescale((a,)))

    def program(self, slots: int, output: int) -> Program:
        """The program recorded so far."""
        return Program(slots, self._inputs, tuple(self._operations), tuple(self._plaintexts), output)

    def _record(self, operation: Operation) -> int:
        self._operations.append(operation)
        return len(self._operations) - 1


def _scalar(number: float | Scalar) -> Scalar:
    return number if isinstance(number, Scalar) else Scalar(number)
