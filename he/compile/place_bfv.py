"""Where a BFV program drops primes of its modulus.

A smaller modulus makes every later operation cheaper, so a prime goes as soon as the noise bound allows it for almost
nothing. Operands of one operation are brought to a common level, and every plain operand is told the level at which it
is to be encoded. What CKKS does is in `he.compile.place_ckks`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from he.program.algebra import apply
from he.program.operations import AddPlain, Bundle, Matrix, Operation, Part, Plain, PlainDot, arguments, placed
from he.program.program import Program
from he.program.recorder import Recorder
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra
from he.ring.params import Parameters

#: A prime is dropped when the bound grows by no more than this factor, a sixteenth of a bit.
FREE_SWITCH = 2 ** (1 / 16)


def place_bfv(program: Program, parameters: Parameters) -> tuple[Program, BfvNoise]:
    """The program with modulus switches, and the bound on its output's noise.

    The result may not be decryptable: the caller looks at the bound.
    """
    noise = BfvNoiseAlgebra(parameters)
    recorder = Recorder(program.plaintexts)
    known: dict[int, tuple[int, Any]] = {}  # value of `program` -> its new position and noise, or those of a bundle
    lowered: dict[tuple[int, int], tuple[int, BfvNoise]] = {}  # copies of values, by new position and level

    def lower(position: int, value: BfvNoise, level: int) -> tuple[int, BfvNoise]:
        if value.level == level:
            return position, value
        if (position, level) not in lowered:
            above, above_value = lower(position, value, level + 1)
            lowered[position, level] = recorder.switch_modulus(above), noise.switch_modulus(above_value)
        return lowered[position, level]

    def drop(position: int, value: BfvNoise) -> tuple[int, BfvNoise]:
        while value.level > 1 and noise.switch_modulus(value).bound <= FREE_SWITCH * value.bound:
            position, value = recorder.switch_modulus(position), noise.switch_modulus(value)
        return position, value

    for index, operation in enumerate(program.operations):
        operands = [known[a] for a in arguments(operation)]
        if isinstance(operation, Part):
            bundle, values = operands[0]
            known[index] = drop(recorder.part(bundle, operation.index), values[operation.index])
            continue
        level = min((v.level for _, v in operands), default=parameters.levels)
        operands = [lower(p, v, level) for p, v in operands]
        operation = _place_bfv_operands(operation, level)
        position = apply(recorder, operation, [p for p, _ in operands])
        value = apply(noise, operation, [v for _, v in operands])
        known[index] = (position, value) if isinstance(operation, Matrix | Bundle) else drop(position, value)
    position, value = known[program.output]
    return recorder.program(program.slots, position), value


def _place_bfv_operands(operation: Operation, level: int) -> Operation:
    match operation:
        case PlainDot(args, plains):
            return PlainDot(args, tuple(placed(p, level) for p in plains))
        case AddPlain(args, plain):
            return AddPlain(args, placed(plain, level))
        case Matrix():
            return replace(operation, level=level)
    return operation


def plain_factors(program: Program) -> frozenset[Plain]:
    """Every distinct (plaintext, level, scale) that the program multiplies with."""
    return frozenset(p for op in program.operations if isinstance(op, PlainDot) for p in op.plains)


def plain_addends(program: Program) -> frozenset[Plain]:
    """Every distinct (plaintext, level, scale) that the program adds."""
    return frozenset(op.plain for op in program.operations if isinstance(op, AddPlain))
