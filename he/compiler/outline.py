"""The outline of a CKKS program: a few operations whose scales are those of all of it.

Where a program rescales follows from its operations alone. Values that the same operation makes of operands of the same
scales have the same scale themselves, so one of them stands for all, and a search that asks for hundreds of placings
walks through dozens of operations instead of thousands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

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
    Scalar,
    ScalarDot,
    SquareParts,
    arguments,
    results,
)
from he.program.program import Program

_RESCALED_BEFORE = Multiply | SquareParts | AddPlain | Conjugate


def is_led(operation: Operation) -> bool:
    """Return whether this is a sum of multiples whose last term has a factor of 1, as of a monic polynomial.

    Its last value keeps its scale, and all other terms are brought to it: such a sum is no plain product.
    """
    return isinstance(operation, ScalarDot) and operation.scalars[-1].value == 1.0


def rescaled_before(operation: Operation) -> tuple[int, ...]:
    """Return the operands that are rescaled before an operation reads them."""
    if isinstance(operation, _RESCALED_BEFORE):
        return arguments(operation)
    return arguments(operation)[:-1] if is_led(operation) else ()


def outline(program: Program) -> Program:
    """Return a program that rescales where this one does, first to last, and ends with its scales; guards are left out.

    A value may be read before it is rescaled, and again after it was. So every value of the outline comes twice: as it
    is read before, and as it is read after.

    Args:
        program: a program that has not been placed.
    """
    operations: list[Operation] = []
    known: dict[tuple[Any, ...], int] = {}  # the number of the first of the two values that stand for a kind of value
    stands: list[int] = []  # that number for every value of the program
    rescaled: set[int] = set()
    for position, operation in enumerate(program.operations):
        if position in program.guarding:  # which decide about no scale
            stands += [-1] * results(operation)
            continue
        args = arguments(operation)
        rescaled.update(rescaled_before(operation))
        read = tuple(sorted({stands[a] + (a in rescaled) for a in args}))
        if is_led(operation):
            last = stands[args[-1]] + (args[-1] in rescaled)
            read = (*(value for value in read if value != last), last)
        kind = type(operation), is_led(operation), read
        if kind not in known:
            known[kind] = len(operations)
            operations += [_reading(operation, read)] * 2
        stands += [known[kind]] * results(operation)
    outputs = dict.fromkeys(stands[output] + (output in rescaled) for output in program.results)
    return Program(1, program.inputs, tuple(operations), (np.zeros(1),), tuple(outputs))


def _reading(operation: Operation, values: tuple[int, ...]) -> Operation:
    """Return an operation of the same kind on these values; plain operands are left out."""
    count, (first, *_) = len(values), values or (0,)
    match operation:
        case Input():
            return operation
        case PlainDot():
            return replace(operation, args=values, plains=(Plain(0),) * count)
        case ScalarDot():
            return ScalarDot(values, (*[Scalar(0.0)] * (count - 1), Scalar(float(is_led(operation)))), Scalar(0.0))
        case Matrix():
            return Matrix(values, np.zeros((1, count)), np.zeros(1))
        case AddPlain():
            return replace(operation, args=(first,), plain=Plain(0))
        case Add():
            return Add(values)
        case Multiply() | SquareParts():
            return type(operation)((first, values[-1]))
    return replace(operation, args=(first,))  # the others read one value
