"""The rounding of a CKKS program's weights to what engines encode, at random.

Whoever chooses weights chooses how they are rounded to the nearest integers: errors can be made that all add up. So a
coefficient is rounded up or down at random, to the right mean. Then, whatever the weights and whatever the input,
errors are independent, have mean 0, and are less than one, which by Hoeffding's inequality bounds what any sum of them
is. The only assumption is that weights and inputs are not chosen by whoever knows the seed.

Sources: Hoeffding, *Probability inequalities for sums of bounded random variables*, JASA 1963; stochastic rounding has
been used since Forsythe, *Reprint of a note on rounding-off errors*, SIAM Review 1959.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from he.program.operations import AddPlain, Matrix, Operation, Plain, PlainDot, plains
from he.program.program import Program
from he.ring.slots import polynomial, slots_of


def rounded(program: Program, seed: bytes) -> Program:
    """Return a placed CKKS program with weights that every engine encodes as they are.

    Args:
        program: the program; every operand has its scale.
        seed: determines what is rounded up. Whoever chooses weights or inputs must not know it.
    """
    generator = np.random.default_rng(list(hashlib.sha256(b"rounding" + seed).digest()))
    plaintexts: list[np.ndarray] = []
    known: dict[Plain, Plain] = {}  # operands of equal level and scale stay one
    operations: list[Operation] = []
    for operation in program.operations:
        for plain in plains(operation):
            if plain not in known:
                known[plain] = replace(plain, index=len(plaintexts))
                plaintexts.append(_rounded_slots(program.plaintexts[plain.index], plain.scale, generator))
        match operation:
            case PlainDot(args, operands):
                operation = PlainDot(args, tuple(known[plain] for plain in operands))
            case AddPlain(args, plain):
                operation = AddPlain(args, known[plain])
            case Matrix():
                weights = _rounded(operation.weights * operation.scale, generator) / operation.scale
                constants = _rounded(operation.constants * operation.constant_scale, generator)
                operation = replace(operation, weights=weights, constants=constants / operation.constant_scale)
        operations.append(operation)
    return replace(program, operations=tuple(operations), plaintexts=tuple(plaintexts))


def _rounded_slots(slots: np.ndarray, scale: float, generator: np.random.Generator) -> np.ndarray:
    """Return the slots of the polynomial with rounded coefficients; slots stay real, so coefficients come in pairs."""
    coefficients = polynomial(slots) * scale
    half = len(slots)
    coefficients[:half] = _rounded(coefficients[:half], generator)
    coefficients[half] = 0.0
    coefficients[half + 1 :] = -coefficients[half - 1 : 0 : -1]  # X^(N - i) is the conjugate of -X^i
    return slots_of(coefficients) / scale


def _rounded(numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    low = np.floor(numbers)
    return low + (generator.random(numbers.shape) < numbers - low)
