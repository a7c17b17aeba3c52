"""The placing of a BFV program: where it drops primes of its modulus.

A smaller modulus makes every later operation cheaper, so a prime is dropped as soon as that hardly raises the noise
bound. Operands of one operation are brought to a common level, and every plain operand gets the level at which it is to
be encoded. `he.compiler.place_ckks` does the same for CKKS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.program.algebra import apply
from he.program.fold import Fold
from he.program.operations import AddPlain, Input, Matrix, Operation, PlainDot, arguments, placed
from he.program.program import Program
from he.program.recorder import Recorder
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra
from he.ring.params import Parameters

#: A prime is dropped if the noise bound grows by no more than this factor, a bit of budget.
FREE_SWITCH = 2.0


def place_bfv(
    program: Program,
    parameters: Parameters,
    folded: Fold | None = None,
    begin: BfvNoise | None = None,
    plain_norm: float | None = None,
) -> tuple[Program, list[BfvNoise]]:
    """Return the program with modulus switches and levels, and the noise of each of its values.

    The caller must look at the noise: it may leave no budget for decryption.

    Args:
        program: a program that has not been placed.
        parameters: a BFV set.
        folded: the fold whose folded form `program` is; its groups of values are placed together.
        begin: the noise of the inputs of a part of a program; that of fresh ciphertexts by default.
        plain_norm: the declared bound on the canonical norms of packed plaintexts; the usual one by default.

    Returns:
        The placed program, and the noise of every value of `program`.
    """
    noise = BfvNoiseAlgebra(parameters, plain_norm)
    recorder = Recorder(program.plaintexts, program.inputs)
    known: list[tuple[int, BfvNoise]] = []  # the new number and the noise of every value of `program`
    lowered: dict[tuple[int, int], tuple[int, BfvNoise]] = {}  # values at lower levels, by new number and level

    def lower(number: int, value: BfvNoise, level: int) -> tuple[int, BfvNoise]:
        if value.level == level:
            return number, value
        if (number, level) not in lowered:
            above, above_value = lower(number, value, level + 1)
            lowered[number, level] = recorder.switch_modulus(above), noise.switch_modulus(above_value)
        return lowered[number, level]

    def drop(number: int, value: BfvNoise) -> tuple[int, BfvNoise]:
        while value.level > 1 and np.all(noise.switch_modulus(value).bound <= FREE_SWITCH * value.bound):
            number, value = recorder.switch_modulus(number), noise.switch_modulus(value)
        return number, value

    for position, operation in enumerate(program.operations):
        operands = [known[a] for a in arguments(operation)]
        level = min((value.level for _, value in operands), default=parameters.levels)
        operands = [lower(number, value, level) for number, value in operands]
        operation = _place_bfv_operands(operation, level)
        numbers = apply(recorder, operation, [number for number, _ in operands])
        read = [value for _, value in operands]
        if begin and isinstance(operation, Input):
            values: Sequence[BfvNoise] = [begin]
        else:
            values = [folded.apply(position, noise, operation, read)] if folded else apply(noise, operation, read)
        known += [drop(number, value) for number, value in zip(numbers, values, strict=True)]
    last = min(known[output][1].level for output in program.outputs)
    for output in program.outputs:  # results differ in nothing that a client could see
        known[output] = lower(*known[output], last)
    placed_program = recorder.program(program.slots, [known[output][0] for output in program.outputs])
    return placed_program, [value for _, value in known]


def _place_bfv_operands(operation: Operation, level: int) -> Operation:
    match operation:
        case PlainDot(_, plains):
            return replace(operation, plains=tuple(placed(p, level) for p in plains))
        case AddPlain(_, plain):
            return replace(operation, plain=placed(plain, level))
        case Matrix():
            return replace(operation, level=level)
    return operation
