"""Whether a program has been placed: whether every operand is encoded at the level of the value that it meets."""

from __future__ import annotations

from he.program.operations import (
    AddPlain,
    Input,
    Matrix,
    PlainDot,
    Rescale,
    ScalarDot,
    SwitchModulus,
    arguments,
    plains,
    results,
)
from he.program.program import Program
from he.ring.params import Parameters


def require_placed(program: Program, parameters: Parameters) -> None:
    """Refuse a program that an engine would evaluate at other levels than it was written for.

    Raises:
        ValueError: naming the operation, and what has to be done.
    """
    levels: list[int] = []  # of every value
    for position, operation in enumerate(program.operations):
        met = {levels[a] for a in arguments(operation)}
        if len(met) > 1:
            raise _unplaced(position, f"reads values of levels {sorted(met)}")
        level = parameters.levels if isinstance(operation, Input) else met.pop()
        stated = {plain.level for plain in plains(operation)}
        if isinstance(operation, Matrix):
            stated.add(operation.level)
        if stated - {level}:
            raise _unplaced(position, f"has operands for levels {sorted(stated)}, and meets a value of level {level}")
        if not parameters.scheme.exact and isinstance(operation, PlainDot | AddPlain | ScalarDot | Matrix):
            if isinstance(operation, ScalarDot):
                scales = [scalar.scale for scalar in (*operation.scalars, operation.constant)]
            elif isinstance(operation, Matrix):
                scales = [operation.scale, operation.constant_scale]
            else:
                scales = [plain.scale for plain in plains(operation)]
            if min(scales) <= 0:
                raise _unplaced(position, "has an operand without a scale")
        if isinstance(operation, SwitchModulus | Rescale):
            level -= 1
        if level < 1:
            raise _unplaced(position, f"drops more primes than {parameters} has")
        levels += [level] * results(operation)


def _unplaced(position: int, problem: str) -> ValueError:
    return ValueError(
        f"the program must have been placed for these parameters, but operation {position} {problem}; "
        "let `he.compile_exact` or `he.compile_approximate` write it"
    )
