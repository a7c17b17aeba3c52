"""Parameters for a program, as a value, and the limits within which they are searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from he.program.program import Program
from he.ring.params import (
    Parameters,
)

MAX_PRIMES = 16  # data primes: more than 128-bit security admits at any ring; 2^-800 is still a float64
MAX_CHAIN_BITS = 50  # of a prime: products of residues are then exact in float64 pairs and in 52-bit multipliers


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters for a program, and how they were arrived at.

    Attributes:
        program: with levels placed.
        parameters: accepted by the bound.
        bound: the noise budget left, in bits (BFV), or the largest error of a logit (CKKS).
        tolerance: the largest error of a logit that a client is to accept; 0 for BFV.
        output_scale: the scale of the result; 1 for BFV.
        place: places another program of the same depth for the same parameters, without a bound.
        again: the same with a bound; None if that is not accepted.
    """

    program: Program
    parameters: Parameters
    bound: float
    tolerance: float
    output_scale: float
    place: Callable[[Program], Program]
    again: Callable[[Program], Fit | None]
