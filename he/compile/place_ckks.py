"""Where a CKKS program rescales, and how large a modulus that takes.

A plain product need not be followed by a rescaling of its own: a square and the matrix after it share one, by a prime
as large as both of their factors. What must be kept is the scale of values that are multiplied with each other, the
*waterline* (Dathathri et al., *EVA: an encrypted vector arithmetic language and compiler*, PLDI 2020, section 5).
Every prime of the chain is then as large as the excess that it removes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from he.program.algebra import apply
from he.program.operations import (
    Add,
    AddPlain,
    Conjugate,
    Matrix,
    Multiply,
    PlainDot,
    Scalar,
    ScalarDot,
    SquareParts,
    arguments,
    placed,
    results,
)
from he.program.program import Program
from he.program.recorder import Recorder
from he.ring.params import ParameterError, Parameters

#: Smaller primes there are too few of, in rings of high degree.
LEAST_DROP_BITS = 22

#: How many primes have gone, and the bits by which a scale is too large -> the bits of the next prime, and the prime.
Drop = Callable[[int, int], tuple[int, float]]


@dataclass(frozen=True)
class Precision:
    """How finely a CKKS program computes, all as log2 of a scale.

    Attributes:
        input_bits: scale of a fresh ciphertext.
        weight_bits: scales of plain factors, by the number of plain products on the way to them.
        value_bits: scales of values that are multiplied with each other, by the number of products on the way to them;
            the last is the output's.
        early: whether products with plain factors are rescaled at once, so that what follows has a prime fewer to work
            with, or only before the next product, so that it adds less noise.
    """

    input_bits: int
    weight_bits: tuple[int, ...]
    value_bits: tuple[int, ...]
    early: bool


@dataclass(frozen=True)
class _Value:
    number: int
    dropped: int
    scale: float
    bits: int  # of the scale, were every prime a power of two: by these all walks decide alike
    plain: int
    products: int


_PLAIN, _PRODUCTS = PlainDot | ScalarDot | Matrix, Multiply | SquareParts


def depths(program: Program) -> tuple[int, int]:
    """Plain products and products on the longest path."""
    found: list[tuple[int, int]] = []  # for every value
    for operation in program.operations:
        before = [found[a] for a in arguments(operation)]
        plain = max((b[0] for b in before), default=0) + isinstance(operation, _PLAIN)
        products = max((b[1] for b in before), default=0) + isinstance(operation, _PRODUCTS)
        found += [(plain, products)] * results(operation)
    deepest = [found[output] for output in program.outputs]
    return max(plain for plain, _ in deepest), max(products for _, products in deepest)


def rescalings(program: Program, precision: Precision, largest: int) -> tuple[tuple[int, ...], int]:
    """Bits of the primes that the program drops, in that order, each at most `largest`; and of the output's scale."""
    sizes: list[int] = []

    def drop(dropped: int, excess: int) -> tuple[int, float]:
        if dropped == len(sizes):
            sizes.append(max(LEAST_DROP_BITS, excess // math.ceil(excess / largest)))
        return sizes[dropped], 2.0 ** sizes[dropped]

    output = _walk(program, precision, drop)[1]
    return tuple(sizes), output


def place(program: Program, precision: Precision, parameters: Parameters, stay: int = 1) -> Program:
    """The program with rescalings, and every operand's level and scale.

    Args:
        program: without levels.
        precision: `input_bits` must be the parameters' `scale_bits`.
        parameters: the primes of `rescalings`, last dropped first, after those that stay.
        stay: primes that are never dropped; the output is lowered to them.

    Raises:
        ParameterError: if the chain has too few primes.
        ValueError: if values of different scales are added.
    """

    def drop(dropped: int, _: int) -> tuple[int, float]:
        if dropped >= parameters.levels - stay:
            raise ParameterError(f"the program is deeper than the {parameters.levels} data primes of {parameters}")
        index = parameters.levels - 1 - dropped
        return parameters.coeff_modulus_bits[index], float(parameters.primes[index])

    return _walk(program, precision, drop, parameters.levels, stay)[0]


def _walk(program: Program, precision: Precision, drop: Drop, levels: int = 0, stay: int = 0) -> tuple[Program, int]:
    """The program with rescalings, and the bits of its output's scale."""
    recorder = Recorder(program.plaintexts, program.inputs)
    known: list[_Value] = []

    def lower(value: _Value, dropped: int) -> _Value:
        while value.dropped < dropped:
            value = replace(value, number=recorder.switch_modulus(value.number), dropped=value.dropped + 1)
        return value

    def rescaled(value: _Value) -> _Value:
        while (excess := value.bits - precision.value_bits[value.products]) >= LEAST_DROP_BITS:
            bits, prime = drop(value.dropped, excess)
            number, dropped = recorder.rescale(value.number), value.dropped + 1
            value = replace(value, number=number, dropped=dropped, scale=value.scale / prime, bits=value.bits - bits)
        return value

    for operation in program.operations:
        if isinstance(operation, _PRODUCTS | AddPlain | Conjugate):
            for a in arguments(operation):
                known[a] = rescaled(known[a])
        operands = [known[a] for a in arguments(operation)]
        dropped = max((v.dropped for v in operands), default=0)
        operands = [lower(v, dropped) for v in operands]
        level = levels - dropped
        scale = max((v.scale for v in operands), default=2.0**precision.input_bits)
        bits = max((v.bits for v in operands), default=precision.input_bits)
        plain = max((v.plain for v in operands), default=0)
        products = max((v.products for v in operands), default=0)
        if isinstance(operation, _PLAIN):
            weight = 2.0 ** precision.weight_bits[plain]
            scale, bits, plain = scale * weight, bits + precision.weight_bits[plain], plain + 1
        match operation:
            case PlainDot(args, plains):
                operation = PlainDot(args, tuple(placed(p, level, weight) for p in plains))
            case ScalarDot(args, scalars, constant):
                # Powers of x arrive at different scales; every term is brought to that of the largest.
                terms = tuple(Scalar(s.value, level, scale / v.scale) for s, v in zip(scalars, operands, strict=True))
                operation = ScalarDot(args, terms, Scalar(constant.value, level, scale))
            case Matrix():
                if any(v.scale != operands[0].scale for v in operands):
                    raise ValueError("a matrix must be applied to values of one scale")
                operation = replace(operation, level=level, scale=weight, constant_scale=scale)
            case AddPlain(args, operand):
                operation = AddPlain(args, placed(operand, level, scale))
            case Multiply() | SquareParts():
                more = 2 if isinstance(operation, SquareParts) else 0  # four times the squares
                scale = operands[0].scale * operands[1].scale * 2.0**more
                bits = operands[0].bits + operands[1].bits + more
                products += 1
            case Add() if any(v.scale != scale for v in operands):
                raise ValueError(f"operands of an addition must share a scale, got {[v.scale for v in operands]}")
        for number in apply(recorder, operation, [v.number for v in operands]):
            value = _Value(number, dropped, scale, bits, plain, products)
            known.append(rescaled(value) if precision.early and isinstance(operation, _PLAIN) else value)
    outputs = [lower(rescaled(known[output]), levels - stay) for output in program.outputs]
    if any((v.dropped, v.scale) != (outputs[0].dropped, outputs[0].scale) for v in outputs):
        raise ValueError("outputs must share level and scale")
    return recorder.program(program.slots, [v.number for v in outputs]), outputs[0].bits
