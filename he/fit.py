"""Choosing packing and parameters: the smallest that a noise or error bound accepts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from he.levels import place_bfv
from he.linear import LinearMap, Stage
from he.lower import gather, power_of_two, width_of
from he.noise import BfvNoiseAlgebra
from he.packing import Packing
from he.params import (
    MAX_MODULUS_BITS_128,
    MIN_PRIME_BITS,
    PLAIN_MODULUS,
    ParameterError,
    Parameters,
    Scheme,
    Security,
)
from he.program import Program, run

MAX_REQUEST_CIPHERTEXTS = 256  # where the compiler is free to choose, a request stays below some 200 MB
MAX_PRIMES = 16  # data primes: more than 128-bit security admits at any ring; 2^-800 is still a float64
MAX_CHAIN_BITS = 50  # of a prime: products of residues are then exact in float64 pairs and in 52-bit multipliers


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters for a program, and how they were arrived at.

    Attributes:
        program: with levels placed.
        parameters: accepted by the bound.
        bound: the noise budget left, in bits (BFV), or the largest error of a logit (CKKS).
        output_scale: of the result; 1 for BFV.
        place: places another program of the same depth for the same parameters, without a bound.
        again: the same with a bound; None if that is not accepted.
    """

    program: Program
    parameters: Parameters
    bound: float
    output_scale: float
    place: Callable[[Program], Program]
    again: Callable[[Program], Fit | None]


def choose_packing(scheme: Scheme, N: int, images: int | None, plan: Sequence[Stage]) -> Packing:
    """The smallest packing for so many images; two rows are used for different images before lanes are."""
    rows, row_length = (2 if scheme == "bfv" else 1), N // 2
    widths = [width_of(stage) for stage in plan if isinstance(stage, LinearMap)]
    if scheme == "ckks":
        widths.append(2 * widths[-1])  # without a noise budget, two copies that agree are the sign of a sound result
    widest = max(widths)
    if widest > row_length:
        raise ParameterError(
            f"N={N}: a layer of {widest} units, as a power of two, is wider than a row of {row_length} slots"
        )
    if images is None:
        # Lanes take the place of copies, which spread taps: each doubling of the lanes doubles the ciphertexts.
        first = plan[0]
        assert isinstance(first, LinearMap)
        taps = gather(first).shape[1]
        most = row_length // widest
        copies = -(-taps // MAX_REQUEST_CIPHERTEXTS)
        lanes = max(1, min(most, row_length // (width_of(first) * power_of_two(copies))))
        return Packing(rows, row_length, lanes, split_rows=rows == 2)
    split = rows == 2 and images > 1
    lanes = power_of_two(-(-images // rows) if split else images)
    if widest * lanes > row_length:
        raise ParameterError(
            f"N={N}: {images} images side by side in a layer of {widest} units, as a power of two, are wider than a "
            f"row of {row_length} slots"
        )
    return Packing(rows, row_length, lanes, split)


def fit_bfv(program: Program, N: int, security: Security) -> Fit:
    """The fewest and then the smallest primes whose noise bound leaves at least one bit of budget."""

    @cache
    def attempt(count: int, bits: int) -> Fit:
        chain = (bits,) * count + (MAX_CHAIN_BITS,)
        secure = security == "128" and sum(chain) <= MAX_MODULUS_BITS_128[N]
        return placed(program, Parameters("bfv", N, chain, PLAIN_MODULUS, security="128" if secure else "insecure"))

    def placed(other: Program, parameters: Parameters) -> Fit:
        result, noise = place_bfv(other, parameters)
        return Fit(
            program=result,
            parameters=parameters,
            bound=noise.budget_bits,
            output_scale=1.0,
            place=lambda another: place_bfv(another, parameters)[0],
            again=lambda another: fit if (fit := placed(another, parameters)).bound >= 1 else None,
        )

    # Where primes are plenty, what the noise takes of them shows about how many there have to be.
    plenty = Parameters("bfv", N, (MAX_CHAIN_BITS,) * (MAX_PRIMES + 1), PLAIN_MODULUS, security="insecure")
    taken = MAX_PRIMES * MAX_CHAIN_BITS - run(program, BfvNoiseAlgebra(plenty)).budget_bits
    guess = math.ceil(min(taken, MAX_PRIMES * MAX_CHAIN_BITS) / MAX_CHAIN_BITS)
    count = _least(lambda count: attempt(count, MAX_CHAIN_BITS).bound >= 1, guess, 1, MAX_PRIMES)
    if count is None:
        raise ParameterError(f"N={N}: its noise needs more than {MAX_PRIMES * MAX_CHAIN_BITS} bits of modulus")
    bits = _least(
        lambda bits: attempt(count, bits).bound >= 1, math.ceil(taken / count), 2 * MIN_PRIME_BITS, MAX_CHAIN_BITS
    )
    assert bits is not None  # the largest are enough
    fit = attempt(count, bits)
    if fit.parameters.security != security:
        limit = MAX_MODULUS_BITS_128[N]
        raise ParameterError(
            f"N={N}: its noise needs {sum(fit.parameters.coeff_modulus_bits)} bits of modulus, and at most "
            f"{limit} keep 128-bit security"
        )
    return fit


def _least(accepted: Callable[[int], bool], guess: int, low: int, high: int) -> int | None:
    """The least number that is accepted, as all above it are; found soon if the guess is near."""
    guess = min(max(guess, low), high)
    if accepted(guess):
        while guess > low and accepted(guess - 1):
            guess -= 1
        return guess
    return next((number for number in range(guess + 1, high + 1) if accepted(number)), None)
