"""A pass that relinearises sums of products once, however they were written."""

from __future__ import annotations

from he.program.algebra import apply
from he.program.operations import Add, Operation, Relinearise, arguments
from he.program.program import Program
from he.program.recorder import Recorder


def relinearised_once(program: Program) -> Program:
    """Return the program with every relinearisation behind the sum that alone reads its result.

    Ciphertexts of three polynomials are added as others are, and relinearising is linear: so a sum of n products takes
    one key switch instead of n, and has the noise of one. A program without such sums comes back as it was.

    Args:
        program: a program that has not been placed.
    """
    sums = [operation for operation in program.operations if isinstance(operation, Add)]
    whole = {
        value
        for value, operation in zip(program.first_values, program.operations, strict=False)
        if isinstance(operation, Relinearise)
    }
    if not any(whole.intersection(operation.args) for operation in sums):
        return program
    readers: dict[int, list[Operation | None]] = {}
    for operation in program.operations:
        for a in arguments(operation):
            readers.setdefault(a, []).append(operation)
    for output in program.outputs:
        readers.setdefault(output, []).append(None)
    recorder = Recorder(program.plaintexts, program.inputs)
    known: dict[int, int] = {}  # the new number of every value
    waits: set[int] = set()  # values that are not relinearised yet

    def define(value: int, number: int) -> None:
        """Note a value that is to be relinearised: at once, or behind the sum that reads it."""
        if [type(reader) for reader in readers.get(value, [])] == [Add]:
            known[value] = number
            waits.add(value)
        else:
            known[value] = recorder.relinearise(number)

    for position, operation in enumerate(program.operations):
        value, args = program.first_values[position], [known[a] for a in arguments(operation)]
        if isinstance(operation, Relinearise):
            define(value, args[0])
        elif isinstance(operation, Add) and waits.intersection(operation.args):
            define(value, recorder.add(args))
        else:
            known.update(enumerate(apply(recorder, operation, args), value))
    return recorder.program(program.slots, [known[output] for output in program.outputs], program.guards)
