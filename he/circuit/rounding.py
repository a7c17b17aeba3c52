"""The rounding of a CKKS circuit's weights, and of images, to what is encoded, at random.

Whoever chooses weights chooses how they are rounded to the nearest integers: errors can be made that all add up. So a
coefficient is rounded up or down at random, to the right mean. Then, whatever the weights and whatever the input,
errors are independent, have mean 0, and are less than one, which by Hoeffding's inequality bounds what any sum of them
is. The only assumption is that weights and inputs are not chosen by whoever knows the circuit's salt, from which it
follows how weights are rounded; a client draws anew for every ciphertext.

Sources: Hoeffding, *Probability inequalities for sums of bounded random variables*, JASA 1963; stochastic rounding has
been used since Forsythe, *Reprint of a note on rounding-off errors*, SIAM Review 1959.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from he.program.operations import Matrix, Plain
from he.ring.slots import polynomial, slots_of


def rounded_slots(slots: np.ndarray, plain: Plain, salt: bytes) -> np.ndarray:
    """Return slots [N / 2] of a polynomial with integer coefficients at the operand's scale; slots stay real."""
    coefficients = polynomial(slots) * plain.scale
    half = len(slots)
    coefficients[:half] = _rounded(coefficients[:half], salt, repr(plain).encode())
    coefficients[half] = 0.0
    coefficients[half + 1 :] = -coefficients[half - 1 : 0 : -1]  # X^(N - i) is the conjugate of -X^i
    return slots_of(coefficients) / plain.scale


def rounded_matrix(matrix: Matrix, number: int, salt: bytes) -> Matrix:
    """Return the matrix of this number in a program with weights and constants that are integers at its scales."""
    weights = _rounded(matrix.weights * matrix.scale, salt, f"weights {number}".encode())
    constants = _rounded(matrix.constants * matrix.constant_scale, salt, f"constants {number}".encode())
    return replace(matrix, weights=weights / matrix.scale, constants=constants / matrix.constant_scale)


def _rounded(numbers: np.ndarray, salt: bytes, place: bytes) -> np.ndarray:
    """Return integers, as floats, with these numbers as their means; salt and place determine which."""
    generator = np.random.default_rng(list(hashlib.sha256(b"rounding" + salt + place).digest()))
    low = np.floor(numbers)
    return low + (generator.random(numbers.shape) < numbers - low)
