"""A pass that relinearises sums of products once, however they were written."""

from __future__ import annotations

from he.program.algebra import apply
from he.program.operations import Add, Relinearise, arguments
from he.program.program import Program
from he.program.recorder import Recorder


def relinearised_once(program: Program) -> Program:
    """Return the program with the relinearisations of a sum's terms behind it, if it alone reads two or more.

    Ciphertexts of three polynomials are added as others are, and relinearising is linear: so a sum of n products takes
    one key switch instead of n, and has the noise of one. A program without such sums comes back as it was.

    Args:
        program: a program that has not been placed.
    """
    sums = _sums(program)
    if not sums:
        return program
    recorder = Recorder(program.plaintexts, program.inputs)
    known: dict[int, int] = {}  # the new number of every value

    def define(value: int, number: int) -> None:
        """Note a value that is to be relinearised: at once, or behind the sum that reads it."""
        known[value] = number if value in sums else recorder.relinearise(number)

    for position, operation in enumerate(program.operations):
        value, args = program.first_values[position], [known[a] for a in arguments(operation)]
        if isinstance(operation, Relinearise):
            define(value, args[0])
        elif isinstance(operation, Add) and sums.intersection(operation.args):
            define(value, recorder.add(args))
        else:
            known.update(enumerate(apply(recorder, operation, args), value))
    return recorder.program(program.slots, [known[output] for output in program.outputs], program.guards)


def _sums(program: Program) -> set[int]:
    """Return the values that wait to be relinearised in a sum, of a sum, of two or more of them."""
    readers: dict[int, list[int | None]] = {}  # the values of sums that read a value; None for whatever else does
    for operation, value in zip(program.operations, program.first_values, strict=False):
        for a in arguments(operation):
            readers.setdefault(a, []).append(value if isinstance(operation, Add) else None)
    for output in program.outputs:
        readers.setdefault(output, []).append(None)
    alone = {value: read[0] for value, read in readers.items() if len(read) == 1 and read[0] is not None}
    waiting: dict[int, int] = {}  # how many relinearisations a value waits for, or would
    for operation, value in zip(program.operations, program.first_values, strict=False):
        if isinstance(operation, Relinearise):
            waiting[value] = 1
        elif isinstance(operation, Add):
            waiting[value] = sum(waiting.get(a, 0) for a in operation.args if a in alone)

    def whole(value: int) -> int:
        while value in alone:
            value = alone[value]
        return waiting[value]

    return {value for value in alone if waiting.get(value) and whole(value) > 1}
