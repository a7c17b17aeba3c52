"""A check that a program has been placed: every operand must state the level of the value that it meets."""

from __future__ import annotations

from he.program.operations import (
    AddPlain,
    Conjugate,
    Input,
    Matrix,
    Multiply,
    PlainDot,
    Relinearise,
    Rescale,
    Rotate,
    ScalarDot,
    SquareParts,
    SwapRows,
    SwitchModulus,
    arguments,
    plains,
    results,
)
from he.program.program import Program
from he.ring.params import Parameters

_LARGEST = 2.0**1000  # above all scales; integers beyond floats are above it as well


def require_placed(program: Program, parameters: Parameters) -> None:
    """Refuse a program whose operands are not placed for these parameters; every engine calls this first.

    Args:
        program: any program.
        parameters: the parameters under which an engine is to evaluate it.

    Raises:
        ValueError: if an operand has another level than the value that it meets, a CKKS operand has no scale, operands
            of one operation differ in level, more primes are dropped than there are, or an output has three
            polynomials.
    """
    levels: list[int] = []  # the level of every value, by its number
    whole: list[bool] = []  # whether it has two polynomials
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
            if not all(0 < scale < _LARGEST for scale in scales):
                raise _unplaced(position, f"has an operand without a scale, or with one that no float holds: {scales}")
        if isinstance(operation, SwitchModulus | Rescale):
            level -= 1
        if level < 1:
            raise _unplaced(position, f"drops more primes than {parameters} has")
        levels += [level] * results(operation)
        is_product = isinstance(operation, Multiply | SquareParts)
        is_whole = isinstance(operation, Relinearise) or all(whole[a] for a in arguments(operation))
        whole += [is_whole and not is_product] * results(operation)
    if not all(whole[output] for output in program.outputs):
        raise ValueError("the program's outputs must be relinearised: answers have two polynomials")


def value_levels(program: Program, parameters: Parameters) -> list[int]:
    """Return the level of every value, whether or not the program has been placed."""
    levels: list[int] = []
    for operation in program.operations:
        level = min((levels[a] for a in arguments(operation)), default=parameters.levels)
        levels += [level - isinstance(operation, SwitchModulus | Rescale)] * results(operation)
    return levels


def output_levels(program: Program, parameters: Parameters) -> set[int]:
    """Return the levels that a program's outputs have in the end, whether or not it has been placed."""
    levels = value_levels(program, parameters)
    return {levels[output] for output in program.outputs}


def key_uses(program: Program, parameters: Parameters) -> dict[int, set[int]]:
    """Return the levels at which keys are switched, by Galois element; 1 stands for relinearisation."""
    levels, uses = value_levels(program, parameters), dict[int, set[int]]()
    for operation in program.operations:
        match operation:
            case Relinearise():
                element = 1
            case Rotate(_, step):
                element = parameters.galois_element(step)
            case SwapRows() | Conjugate():
                element = 2 * parameters.poly_modulus_degree - 1
            case _:
                continue
        uses.setdefault(element, set()).add(levels[operation.args[0]])
    return uses


def _unplaced(position: int, problem: str) -> ValueError:
    return ValueError(
        f"the program must have been placed for these parameters, but operation {position} {problem}; "
        "let `he.compile_exact` or `he.compile_approximate` write it"
    )
