"""The placing of a CKKS program: where it rescales, and how large a modulus that takes.

A plain product need not be followed by a rescaling of its own: a square and the matrix after it share one, by a prime
as large as both of their factors. Only values that are multiplied with each other must return to a given scale, the
*waterline* (Dathathri et al., *EVA: an encrypted vector arithmetic language and compiler*, PLDI 2020, section 5).
Every prime of the chain is then as large as the excess that it removes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


class Rescalings(NamedTuple):
    """What a program drops on its way.

    Attributes:
        sizes: the bits of the primes, in the order in which they are dropped.
        output_bits: the bits of the output's scale.
        least: the least limit of a prime's bits under which nothing of this is otherwise.
    """

    sizes: tuple[int, ...]
    output_bits: int
    least: int


def rescalings(program: Program, precision: Precision, largest: int) -> Rescalings:
    """Find the primes that a program drops, each of at most `largest` bits."""
    sizes: list[int] = []
    least = 0

    def drop(dropped: int, excess: int) -> tuple[int, float]:
        nonlocal least
        if dropped == len(sizes):
            removed = excess - MOST_LEFT_BITS
            count = max(1, -(-removed // largest))
            size = min(largest, excess // count)
            least = max(least, size, -(-removed // count))  # or there would be more primes
            sizes.append(max(LEAST_DROP_BITS, size))
        return sizes[dropped], 2.0 ** sizes[dropped]

    walk = _Placement(program, precision, drop).walk()
    return Rescalings(tuple(sizes), walk.outputs[0].bits, least)


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

    return _Placement(program, precision, drop, parameters.levels, stay, begin).walk()


class _Placement:
    """A program as it is being placed, operation by operation.

    Args:
        program: the program.
        precision: the scales.
        drop: gives the primes.
        levels: the level of a fresh ciphertext, from which levels count.
        stay: the level to which outputs are lowered; by default that of the lowest.
        begin: the state of the inputs; that of fresh ciphertexts by default.
    """

    def __init__(
        self,
        program: Program,
        precision: Precision,
        drop: Drop,
        levels: int = 0,
        stay: int | None = None,
        begin: Scaled | None = None,
    ) -> None:
        self._program, self._precision, self._drop = program, precision, drop
        self._levels, self._stay = levels, stay
        self._recorder = Recorder(program.plaintexts, program.inputs)
        self._fresh = begin or Scaled(0, levels, 2.0**precision.input_bits, precision.input_bits, 0, 0)
        self._made: list[Scaled] = []  # every value as it is first read
        self._known: list[Scaled] = []  # the same as it is now: rescaled, where an operation needed that

    def walk(self) -> _Walk:
        """Place all operations, and bring the outputs to one level."""
        for position, operation in enumerate(self._program.operations):
            if position in self._program.guarding and isinstance(operation, ScalarDot):
                guard = self._program.guarding[position]
                values = [self._guarded(operation, self._precision.guard_bits[guard])]
            else:
                values = self._placed(operation)
            self._made += values
            self._known += values
        outputs = self._outputs()
        program = self._recorder.program(self._program.slots, [v.number for v in outputs], self._program.guards)
        return _Walk(program, self._made, outputs)

    def _placed(self, operation: Operation) -> list[Scaled]:
        """Record an operation at the level and the scale of its operands; return its results."""
        for a in rescaled_before(operation):
            self._known[a] = self._rescaled(self._known[a])
        operands = [self._known[a] for a in arguments(operation)]
        states = operands or [self._fresh]
        level = min(v.level for v in states)
        operands = [self._lowered(v, level) for v in operands]
        scale, bits = max(v.scale for v in states), max(v.bits for v in states)
        plain, products = max(v.plain for v in states), max(v.products for v in states)
        weight = 1.0
        if _is_plain(operation):
            weight = 2.0 ** self._precision.weight_bits[plain]
            scale, bits, plain = scale * weight, bits + self._precision.weight_bits[plain], plain + 1
        elif isinstance(operation, _PRODUCTS):
            more = 2 if isinstance(operation, SquareParts) else 0  # the result is four times the squares
            scale = operands[0].scale * operands[1].scale * 2.0**more
            bits = operands[0].bits + operands[1].bits + more
            products += 1
        operation = _at_scale(operation, operands, level, scale, weight)
        numbers = apply(self._recorder, operation, [v.number for v in operands])
        values = [Scaled(number, level, scale, bits, plain, products) for number in numbers]
        at_once = _is_plain(operation) and not isinstance(operation, CipherDot)
        at_once |= bool(self._program.encrypted) and isinstance(operation, Relinearise)
        return [self._rescaled(value) for value in values] if self._precision.early and at_once else values

    def _guarded(self, operation: ScalarDot, bits: int) -> Scaled:
        """Record the sum that a guard begins with, with about so many bits of scale if one prime more is dropped.

        What follows it is done at the level above the outputs', where it costs little.
        """
        assert self._stay is not None
        value = self._known[operation.args[0]]
        target, level = 2.0**bits, self._stay
        while target < MOST_ABOVE * value.scale and level < value.level:
            level += 1
            target *= self._drop(self._levels - level, 0)[1]
        operands = [self._lowered(self._known[a], level) for a in operation.args]
        factor = max(1.0, math.ceil(target / value.scale))
        scale = value.scale * factor
        scalars = [Scalar(scalar.value, level, factor) for scalar in operation.scalars]
        constant = Scalar(operation.constant.value, level, scale)
        number = self._recorder.scalar_dot([v.number for v in operands], scalars, constant)
        return self._dropped(replace(operands[0], number=number, scale=scale), self._stay + 1)

    def _outputs(self) -> list[Scaled]:
        """Lower the results to one level; drop primes of what guards show until they are there, too."""
        outputs = [self._rescaled(self._known[output]) for output in self._program.results]
        lowest = min(v.level for v in outputs) if self._stay is None else self._stay
        outputs = [self._lowered(v, lowest) for v in outputs]
        if any((v.level, v.scale) != (outputs[0].level, outputs[0].scale) for v in outputs):
            raise ValueError(f"outputs must share a scale, got {[v.scale for v in outputs]}")
        shown = self._program.outputs[len(outputs) :]
        return [*outputs, *(self._dropped(self._known[output], lowest) for output in shown)]

    def _lowered(self, value: Scaled, level: int) -> Scaled:
        """Switch a value to a level, at the same scale."""
        while value.level > level:
            number = self._recorder.switch_modulus(value.number)
            value = replace(value, number=number, level=value.level - 1)
        return value

    def _rescaled(self, value: Scaled) -> Scaled:
        """Drop primes while the scale is too large for a product."""
        while (excess := value.bits - self._precision.value_bits[value.products]) >= LEAST_DROP_BITS:
            bits, prime = self._drop(self._levels - value.level, excess)
            value = replace(self._divided(value, prime), bits=value.bits - bits)
        return value

    def _dropped(self, value: Scaled, level: int) -> Scaled:
        """Drop primes down to a level, whatever the scale."""
        while value.level > level:
            value = self._divided(value, self._drop(self._levels - value.level, 0)[1])
        return value

    def _divided(self, value: Scaled, prime: float) -> Scaled:
        number = self._recorder.rescale(value.number)
        return replace(value, number=number, level=value.level - 1, scale=value.scale / prime)


def _at_scale(operation: Operation, operands: Sequence[Scaled], level: int, scale: float, weight: float) -> Operation:
    """Return an operation whose plain operands are encoded for these values.

    Args:
        operation: the operation.
        operands: its values, which are all at one level.
        level: that level.
        scale: the scale of the result.
        weight: the scale of plain factors.

    Raises:
        ValueError: if values of different scales are added or meet in a matrix.
    """
    match operation:
        case PlainDot(_, plains):
            # Values of several layers arrive at different scales, too.
            factors = tuple(placed(p, level, scale / v.scale) for p, v in zip(plains, operands, strict=True))
            return replace(operation, plains=factors)
        case ScalarDot(args, scalars, constant):
            # Powers of x arrive at different scales; every term is brought to that of the largest.
            terms = tuple(Scalar(s.value, level, scale / v.scale) for s, v in zip(scalars, operands, strict=True))
            return ScalarDot(args, terms, Scalar(constant.value, level, scale))
        case Matrix():
            if any(v.scale != operands[0].scale for v in operands):
                raise ValueError(f"operands of a matrix must share a scale, got {[v.scale for v in operands]}")
            return replace(operation, level=level, scale=weight, constant_scale=scale)
        case AddPlain(_, operand):
            return replace(operation, plain=placed(operand, level, scale))
        case Add() if any(v.scale != scale for v in operands):
            raise ValueError(f"operands of an addition must share a scale, got {[v.scale for v in operands]}")
    return operation
