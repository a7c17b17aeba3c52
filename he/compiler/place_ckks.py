"""The placing of a CKKS program: where it rescales, and how large a modulus that takes.

A plain product need not be followed by a rescaling of its own: a square and the matrix after it share one, by a prime
as large as both of their factors. Only values that are multiplied with each other must return to a given scale, the
*waterline* (Dathathri et al., *EVA: an encrypted vector arithmetic language and compiler*, PLDI 2020, section 5).
Every prime of the chain is then as large as the excess that it removes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from he.compiler.outline import is_led, rescaled_before
from he.program.algebra import apply
from he.program.operations import (
    Add,
    AddPlain,
    CipherDot,
    Matrix,
    Multiply,
    Operation,
    PlainDot,
    Relinearise,
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

#: The least bits of a dropped prime; in rings of high degree there are too few smaller ones.
LEAST_DROP_BITS = 22

#: The most bits of an excess that stay if they would take a prime more.
MOST_LEFT_BITS = 4

#: How many times the scale of what a guard reads its own must be, before primes are dropped: a factor is an integer.
MOST_ABOVE = 16.0

#: Maps the number of dropped primes, and the bits by which a scale is too large, to the next prime: its bits, itself.
Drop = Callable[[int, int], tuple[int, float]]


@dataclass(frozen=True)
class Precision:
    """The scales at which a CKKS program computes, all as log2.

    Attributes:
        input_bits: the scale of a fresh ciphertext.
        weight_bits: the scales of plain factors, by the number of plain products before them.
        value_bits: the scales of values that are multiplied with each other, by the number of products before them;
            the last is the output's.
        early: true if products with plain factors are rescaled at once, so that later operations work with a prime
            fewer; false if they are rescaled only before the next product, so that later operations add less noise.
            Where factors are encrypted, all products are rescaled as soon as they are relinearised.
        guard_bits: the scale of every guard; it may come out larger, but not smaller.
    """

    input_bits: int
    weight_bits: tuple[int, ...]
    value_bits: tuple[int, ...]
    early: bool
    guard_bits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scaled:
    """A value of the program that is being placed.

    Attributes:
        number: its new number.
        level: its number of data primes; where these are not known yet, how many fewer than a fresh ciphertext has.
        scale: its scale.
        bits: log2 of the scale if primes were powers of two; all walks decide by it, so they decide alike.
        plain: the most plain products before it.
        products: the most products of ciphertexts before it.
    """

    number: int
    level: int
    scale: float
    bits: int
    plain: int
    products: int


_PRODUCTS = Multiply | SquareParts


def _is_plain(operation: Operation) -> bool:
    """Return whether an operation is a product with plain factors, which makes scales longer."""
    return isinstance(operation, PlainDot | ScalarDot | Matrix) and not is_led(operation)


def depths(program: Program) -> tuple[int, int]:
    """Return the most plain products, and the most products of ciphertexts, on a path to an output."""
    found: list[tuple[int, int]] = []  # both numbers for every value
    for operation in program.operations:
        before = [found[a] for a in arguments(operation)]
        plain = max((b[0] for b in before), default=0) + _is_plain(operation)
        products = max((b[1] for b in before), default=0) + isinstance(operation, _PRODUCTS)
        found += [(plain, products)] * results(operation)
    deepest = [found[output] for output in program.results]
    return max(plain for plain, _ in deepest), max(products for _, products in deepest)


def longest_path(program: Program) -> int:
    """Return the most products, plain and of ciphertexts, on a path to an output."""
    found: list[int] = []
    for operation in program.operations:
        before = max((found[a] for a in arguments(operation)), default=0)
        found += [before + (_is_plain(operation) or isinstance(operation, _PRODUCTS))] * results(operation)
    return max(found[output] for output in program.results)


def rescalings(program: Program, precision: Precision, largest: int) -> tuple[tuple[int, ...], int]:
    """Return the bits of the primes that the program drops, in that order, and those of the output's scale.

    Every prime has at most `largest` bits.
    """
    sizes: list[int] = []

    def drop(dropped: int, excess: int) -> tuple[int, float]:
        if dropped == len(sizes):
            count = max(1, math.ceil((excess - MOST_LEFT_BITS) / largest))
            sizes.append(max(LEAST_DROP_BITS, min(largest, excess // count)))
        return sizes[dropped], 2.0 ** sizes[dropped]

    walk = _walk(program, precision, drop)
    return tuple(sizes), walk.outputs[0].bits


def place(
    program: Program, precision: Precision, parameters: Parameters, stay: int = 1, begin: Scaled | None = None
) -> Program:
    """Return the program with rescalings, and with the level and the scale of every operand.

    Args:
        program: a program that has not been placed.
        precision: the scales; `input_bits` must be the parameters' `scale_bits`.
        parameters: a CKKS set with the primes that stay, those of `rescalings` in reverse order, and the special one.
        stay: the number of primes that are never dropped; outputs are lowered to them.
        begin: the state of the inputs of a part of a program; that of fresh ciphertexts by default.

    Raises:
        ParameterError: if the chain has too few primes.
        ValueError: if values of different scales are added or meet in a matrix, or outputs differ in scale.
    """
    return _placed(program, precision, parameters, stay, begin).program


def states(program: Program, precision: Precision, parameters: Parameters, stay: int = 1) -> list[Scaled]:
    """Return the level and the scale at which each value of the program is first read; see `place`."""
    return _placed(program, precision, parameters, stay, None).made


class _Walk(NamedTuple):
    """A placed program, the state in which each value is first read, and the states of the outputs."""

    program: Program
    made: list[Scaled]
    outputs: list[Scaled]


def _placed(program: Program, precision: Precision, parameters: Parameters, stay: int, begin: Scaled | None) -> _Walk:
    def drop(dropped: int, _: int) -> tuple[int, float]:
        if dropped >= parameters.levels - stay:
            raise ParameterError(f"the program is deeper than the {parameters.levels} data primes of {parameters}")
        index = parameters.levels - 1 - dropped
        return parameters.coeff_modulus_bits[index], float(parameters.primes[index])

    return _walk(program, precision, drop, parameters.levels, stay, begin)


def _walk(
    program: Program,
    precision: Precision,
    drop: Drop,
    levels: int = 0,
    stay: int | None = None,
    begin: Scaled | None = None,
) -> _Walk:
    """Place a program; levels count from that of a fresh ciphertext, and outputs are lowered to `stay`."""
    recorder = Recorder(program.plaintexts, program.inputs)
    fresh = begin or Scaled(0, levels, 2.0**precision.input_bits, precision.input_bits, 0, 0)
    known: list[Scaled] = []
    made: list[Scaled] = []
    encrypted = bool(program.encrypted)

    def lower(value: Scaled, level: int) -> Scaled:
        while value.level > level:
            value = replace(value, number=recorder.switch_modulus(value.number), level=value.level - 1)
        return value

    def rescaled(value: Scaled) -> Scaled:
        while (excess := value.bits - precision.value_bits[value.products]) >= LEAST_DROP_BITS:
            bits, prime = drop(levels - value.level, excess)
            number, level = recorder.rescale(value.number), value.level - 1
            value = replace(value, number=number, level=level, scale=value.scale / prime, bits=value.bits - bits)
        return value

    def guarded(operation: ScalarDot, bits: int) -> Scaled:
        """Record the sum that a guard begins with, with about so many bits of scale if one prime more is dropped.

        What follows it is done at the level above the outputs', where it costs little.
        """
        assert stay is not None
        value = known[operation.args[0]]
        target, dropped = 2.0**bits, 0
        while target < MOST_ABOVE * value.scale and stay + dropped < value.level:
            dropped += 1
            target *= drop(levels - stay - dropped, 0)[1]
        operands = [lower(known[a], stay + dropped) for a in operation.args]
        factor = max(1.0, math.ceil(target / value.scale))
        level, scale = stay + dropped, value.scale * factor
        scalars = [Scalar(scalar.value, level, factor) for scalar in operation.scalars]
        constant = Scalar(operation.constant.value, level, scale)
        value = replace(operands[0], number=recorder.scalar_dot([v.number for v in operands], scalars, constant))
        value = replace(value, scale=scale)
        while value.level > stay + 1:
            prime = drop(levels - value.level, 0)[1]
            value = replace(
                value, number=recorder.rescale(value.number), level=value.level - 1, scale=value.scale / prime
            )
        return value

    for position, operation in enumerate(program.operations):
        if position in program.guarding and isinstance(operation, ScalarDot):
            made.append(guarded(operation, precision.guard_bits[program.guarding[position]]))
            known.append(made[-1])
            continue
        for a in rescaled_before(operation):
            known[a] = rescaled(known[a])
        operands = [known[a] for a in arguments(operation)]
        states = operands or [fresh]
        level = min(v.level for v in states)
        operands = [lower(v, level) for v in operands]
        scale, bits = max(v.scale for v in states), max(v.bits for v in states)
        plain, products = max(v.plain for v in states), max(v.products for v in states)
        if _is_plain(operation):
            weight = 2.0 ** precision.weight_bits[plain]
            scale, bits, plain = scale * weight, bits + precision.weight_bits[plain], plain + 1
        match operation:
            case PlainDot(_, plains):
                # Values of several layers arrive at different scales, too.
                factors = tuple(placed(p, level, scale / v.scale) for p, v in zip(plains, operands, strict=True))
                operation = replace(operation, plains=factors)
            case ScalarDot(args, scalars, constant):
                # Powers of x arrive at different scales; every term is brought to that of the largest.
                terms = tuple(Scalar(s.value, level, scale / v.scale) for s, v in zip(scalars, operands, strict=True))
                operation = ScalarDot(args, terms, Scalar(constant.value, level, scale))
            case Matrix():
                if any(v.scale != operands[0].scale for v in operands):
                    raise ValueError(f"operands of a matrix must share a scale, got {[v.scale for v in operands]}")
                operation = replace(operation, level=level, scale=weight, constant_scale=scale)
            case AddPlain(_, operand):
                operation = replace(operation, plain=placed(operand, level, scale))
            case Multiply() | SquareParts():
                more = 2 if isinstance(operation, SquareParts) else 0  # the result is four times the squares
                scale = operands[0].scale * operands[1].scale * 2.0**more
                bits = operands[0].bits + operands[1].bits + more
                products += 1
            case Add() if any(v.scale != scale for v in operands):
                raise ValueError(f"operands of an addition must share a scale, got {[v.scale for v in operands]}")
        at_once = _is_plain(operation) and not isinstance(operation, CipherDot)
        at_once |= encrypted and isinstance(operation, Relinearise)
        for number in apply(recorder, operation, [v.number for v in operands]):
            value = Scaled(number, level, scale, bits, plain, products)
            made.append(rescaled(value) if precision.early and at_once else value)
            known.append(made[-1])
    outputs = [rescaled(known[output]) for output in program.results]
    lowest = min(v.level for v in outputs) if stay is None else stay
    outputs = [lower(v, lowest) for v in outputs]
    if any((v.level, v.scale) != (outputs[0].level, outputs[0].scale) for v in outputs):
        raise ValueError(f"outputs must share a scale, got {[v.scale for v in outputs]}")
    for output in program.outputs[len(program.results) :]:
        value = known[output]
        while value.level > lowest:
            prime = drop(levels - value.level, 0)[1]
            value = replace(
                value, number=recorder.rescale(value.number), level=value.level - 1, scale=value.scale / prime
            )
        outputs.append(value)
    return _Walk(recorder.program(program.slots, [v.number for v in outputs], program.guards), made, outputs)
