"""Where a program drops primes of its modulus.

A smaller modulus makes every later operation cheaper. BFV drops a prime as soon as the noise bound allows it for almost
nothing; CKKS rescales after every product, which is what keeps its scale in place. Operands of one operation are
brought to a common level, and every plain operand is told the level and scale at which it is to be encoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from he.noise import BfvNoise, BfvNoiseAlgebra
from he.params import ParameterError, Parameters
from he.program import (
    Add,
    AddPlain,
    Input,
    Multiply,
    Operation,
    Plain,
    PlainDot,
    Program,
    Recorder,
    Relinearise,
    Scalar,
    ScalarDot,
    apply,
    arguments,
    placed,
)

#: A prime is dropped when the bound grows by no more than this factor, a sixteenth of a bit.
FREE_SWITCH = 2 ** (1 / 16)


def place_bfv(program: Program, parameters: Parameters) -> tuple[Program, BfvNoise]:
    """The program with modulus switches, and the bound on its output's noise.

    The result may not be decryptable: the caller looks at the bound.
    """
    noise = BfvNoiseAlgebra(parameters)
    recorder = Recorder(program.plaintexts)
    known: dict[int, tuple[int, BfvNoise]] = {}  # value of `program` -> its new position and noise
    lowered: dict[tuple[int, int], tuple[int, BfvNoise]] = {}  # copies of values, by new position and level

    def lower(position: int, value: BfvNoise, level: int) -> tuple[int, BfvNoise]:
        if value.level == level:
            return position, value
        if (position, level) not in lowered:
            above, above_value = lower(position, value, level + 1)
            lowered[position, level] = recorder.switch_modulus(above), noise.switch_modulus(above_value)
        return lowered[position, level]

    for index, operation in enumerate(program.operations):
        operands = [known[a] for a in arguments(operation)]
        level = min((v.level for _, v in operands), default=parameters.levels)
        operands = [lower(p, v, level) for p, v in operands]
        operation = _place_bfv_operands(operation, level)
        position = apply(recorder, operation, [p for p, _ in operands])
        value = apply(noise, operation, [v for _, v in operands])
        while value.level > 1 and noise.switch_modulus(value).bound <= FREE_SWITCH * value.bound:
            position, value = recorder.switch_modulus(position), noise.switch_modulus(value)
        known[index] = position, value
    position, value = known[program.output]
    return recorder.program(program.slots, position), value


def _place_bfv_operands(operation: Operation, level: int) -> Operation:
    match operation:
        case PlainDot(args, plains):
            return PlainDot(args, tuple(placed(p, level) for p in plains))
        case AddPlain(args, plain):
            return AddPlain(args, placed(plain, level))
    return operation


@dataclass(frozen=True)
class _Ckks:
    position: int
    level: int
    scale: float


def place_ckks(program: Program, parameters: Parameters) -> Program:
    """The program with rescalings, and every operand's level and scale.

    The output is lowered to the last level, so that it travels as one prime.

    Raises:
        ParameterError: if the chain has too few primes for the program's depth.
    """
    assert parameters.scale_bits is not None
    recorder, nominal = Recorder(program.plaintexts), 2.0**parameters.scale_bits
    known: dict[int, _Ckks] = {}

    def lower(value: _Ckks, level: int) -> _Ckks:
        while value.level > level:
            value = replace(value, position=recorder.switch_modulus(value.position), level=value.level - 1)
        return value

    def rescale(value: _Ckks) -> _Ckks:
        if value.level < 2:
            raise ParameterError(f"the program is deeper than the {parameters.levels} data primes of {parameters}")
        scale = value.scale / parameters.primes[value.level - 1]
        return _Ckks(recorder.rescale(value.position), value.level - 1, scale)

    for index, operation in enumerate(program.operations):
        operands = [known[a] for a in arguments(operation)]
        level = min((v.level for v in operands), default=parameters.levels)
        operands = [lower(v, level) for v in operands]
        scale = operands[0].scale if operands else nominal
        prime = float(parameters.primes[level - 1])
        match operation:
            case Input():
                pass
            case PlainDot(args, plains):
                # Encoded at the scale of the prime that is about to be dropped: the scale of the value does not change.
                operation, scale = PlainDot(args, tuple(placed(p, level, prime) for p in plains)), scale * prime
            case ScalarDot():
                # Powers of x arrive at slightly different scales; every term is brought to nominal * prime.
                operation, scale = _place_scalars(operation, [v.scale for v in operands], level, nominal * prime)
            case AddPlain(args, plain):
                operation = AddPlain(args, placed(plain, level, scale))
            case Multiply():
                scale = operands[0].scale * operands[1].scale
            case Add() if any(v.scale != scale for v in operands):
                raise ValueError(f"operands of an addition must share a scale, got {[v.scale for v in operands]}")
        value = _Ckks(apply(recorder, operation, [v.position for v in operands]), level, scale)
        known[index] = rescale(value) if isinstance(operation, PlainDot | ScalarDot | Relinearise) else value
    output = lower(known[program.output], 1)
    return recorder.program(program.slots, output.position)


def _place_scalars(operation: ScalarDot, scales: Sequence[float], level: int, target: float) -> tuple[ScalarDot, float]:
    scalars = tuple(Scalar(s.value, level, target / scale) for s, scale in zip(operation.scalars, scales, strict=True))
    return ScalarDot(operation.args, scalars, Scalar(operation.constant.value, level, target)), target


def plain_factors(program: Program) -> frozenset[Plain]:
    """Every distinct (plaintext, level, scale) that the program multiplies with."""
    return frozenset(p for op in program.operations if isinstance(op, PlainDot) for p in op.plains)


def plain_addends(program: Program) -> frozenset[Plain]:
    """Every distinct (plaintext, level, scale) that the program adds."""
    return frozenset(op.plain for op in program.operations if isinstance(op, AddPlain))
