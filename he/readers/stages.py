"""The stages of a program, linear maps and activations in turn, and what each costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import log2

from he.program.operations import (
    Input,
    Matrix,
    Multiply,
    Operation,
    PlainDot,
    Rotate,
    ScalarDot,
    SquareParts,
    SwapRows,
    arguments,
    plains,
    results,
)
from he.program.placed import value_levels
from he.program.program import Program
from he.readers.cost import cost
from he.ring.params import Parameters


@dataclass(frozen=True)
class Stage:
    """Operations that belong together: those of a linear map, or of an activation.

    Attributes:
        kind: "input", "linear" or "activation".
        counts: how many operations of each class it has, by the name of the class.
        units: what it costs, in units of one SEAL rotation.
        levels: the number of data primes of the values that enter it, and of those that leave it; the largest ones. For
            the input both are those of fresh ciphertexts.
        scale_bits: the binary logarithm of the largest scale at which it encodes plaintexts; 0 for BFV, which has none.
    """

    kind: str
    counts: dict[str, int]
    units: float
    levels: tuple[int, int]
    scale_bits: float


def stages(program: Program, parameters: Parameters) -> tuple[Stage, ...]:
    """Return the stages of a placed program, in the order in which they are evaluated.

    A stage begins where a linear operation, which multiplies by weights or moves slots, reads what an activation gives,
    or the other way round. What is neither belongs to the stage of what it reads. The units of all stages add up to
    `cost(program, parameters).total`.
    """
    names: list[tuple[int, str]] = []  # the stage of every operation
    of_values: list[tuple[int, str]] = []
    for operation in program.operations:
        before = max((of_values[a] for a in arguments(operation)), default=(0, "input"))
        kind = _kind(operation) or before[1]
        names.append(before if kind == before[1] else (before[0] + 1, kind))
        of_values += [names[-1]] * results(operation)
    levels = value_levels(program, parameters)
    leaving = set(program.outputs)
    for operation, name in zip(program.operations, names, strict=True):
        leaving.update(a for a in arguments(operation) if of_values[a] != name)
    found = []
    for name in sorted(set(names)):
        own = [operation for operation, other in zip(program.operations, names, strict=True) if other == name]
        units = cost(program, parameters, [int(other == name) for other in names]).total
        left = [levels[value] for value in leaving if of_values[value] == name]
        read = [levels[a] for operation in own for a in arguments(operation) if of_values[a] != name]
        scales = [scale for operation in own for scale in _scales(operation)]
        found.append(
            Stage(
                name[1],
                dict(Counter(type(operation).__name__ for operation in own)),
                units,
                (max(read, default=parameters.levels), max(left, default=parameters.levels)),
                max((log2(scale) for scale in scales if scale > 0), default=0.0),
            )
        )
    return tuple(found)


def _kind(operation: Operation) -> str | None:
    match operation:
        case Input():
            return "input"
        case PlainDot() | Matrix() | Rotate() | SwapRows():
            return "linear"
        case Multiply() | SquareParts() | ScalarDot():
            return "activation"
    return None


def _scales(operation: Operation) -> list[float]:
    """The scales of an operation's plaintexts."""
    match operation:
        case ScalarDot():
            return [scalar.scale for scalar in operation.scalars]
        case Matrix():
            return [operation.scale]
    return [plain.scale for plain in plains(operation)]
