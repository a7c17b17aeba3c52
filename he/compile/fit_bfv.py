"""The search for the smallest BFV parameters that leave a noise budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from he.compile.fit import MAX_CHAIN_BITS, MAX_PRIMES, Fit
from he.compile.place_bfv import place_bfv
from he.program.algebra import run
from he.program.program import Program
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.ring.params import (
    MAX_MODULUS_BITS_128,
    MIN_PRIME_BITS,
    PLAIN_MODULUS,
    ParameterError,
    Parameters,
    Security,
)
from he.ring.scheme import Scheme


def fit_bfv(program: Program, N: int, security: Security) -> Fit:
    """Return the fewest and then the smallest primes whose noise bound leaves at least one bit of budget.

    Args:
        program: a program that has not been placed.
        N: the ring degree.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if the modulus that the noise needs is too large.
    """

    @cache
    def attempt(count: int, bits: int) -> Fit:
        chain = (bits,) * count + (MAX_CHAIN_BITS,)
        secure = security == "128" and sum(chain) <= MAX_MODULUS_BITS_128[N]
        return placed(
            program, Parameters(Scheme.BFV, N, chain, PLAIN_MODULUS, security="128" if secure else "insecure")
        )

    def placed(other: Program, parameters: Parameters) -> Fit:
        result, noise = place_bfv(other, parameters)
        return Fit(
            program=result,
            parameters=parameters,
            bound=noise.budget_bits,
            tolerance=0.0,
            output_scale=1.0,
            place=lambda another: place_bfv(another, parameters)[0],
            again=lambda another: fit if (fit := placed(another, parameters)).bound >= 1 else None,
        )

    # The bits that the noise takes of far too many primes show about how many primes there have to be.
    plenty = Parameters(Scheme.BFV, N, (MAX_CHAIN_BITS,) * (MAX_PRIMES + 1), PLAIN_MODULUS, security="insecure")
    noisiest = max(run(program, BfvNoiseAlgebra(plenty)), key=lambda value: value.bound)
    taken = MAX_PRIMES * MAX_CHAIN_BITS - noisiest.budget_bits
    guess = math.ceil(min(taken, MAX_PRIMES * MAX_CHAIN_BITS) / MAX_CHAIN_BITS)
    count = _least(lambda count: attempt(count, MAX_CHAIN_BITS).bound >= 1, guess, 1, MAX_PRIMES)
    if count is None:
        raise ParameterError(f"the noise needs more than {MAX_PRIMES * MAX_CHAIN_BITS} bits of modulus")
    bits = _least(
        lambda bits: attempt(count, bits).bound >= 1, math.ceil(taken / count), 2 * MIN_PRIME_BITS, MAX_CHAIN_BITS
    )
    assert bits is not None  # the largest are enough
    fit = attempt(count, bits)
    if fit.parameters.security != security:
        needed, limit = sum(fit.parameters.coeff_modulus_bits), MAX_MODULUS_BITS_128[N]
        raise ParameterError(f"the noise needs {needed} bits of modulus, and 128-bit security allows {limit}")
    return fit


def _least(accepted: Callable[[int], bool], guess: int, low: int, high: int) -> int | None:
    """Return the least accepted number in [low, high], None if there is none; all numbers above it are accepted too.

    The search begins at the guess and is short if the guess is near.
    """
    guess = min(max(guess, low), high)
    if accepted(guess):
        while guess > low and accepted(guess - 1):
            guess -= 1
        return guess
    return next((number for number in range(guess + 1, high + 1) if accepted(number)), None)
