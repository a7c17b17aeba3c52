"""The search for the smallest BFV parameters that leave a noise budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from he.compile.fit import MAX_CHAIN_BITS, MAX_PRIMES, Fit, least
from he.compile.place_bfv import budget_bits, place_bfv
from he.program.fold import Fold
from he.program.program import Program
from he.readers.flooding import hidden_noise, uniform_noise, zero_noise
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra
from he.ring.params import (
    MAX_MODULUS_BITS_128,
    MIN_PRIME_BITS,
    PLAIN_MODULUS,
    ParameterError,
    Parameters,
    Security,
)
from he.ring.scheme import Scheme

LEAST_BUDGET_BITS = 1  # of the noise budget that must be left at the end, by the bound


def fit_bfv(folded: Fold, N: int, security: Security, circuit_privacy: int | None = None) -> Fit:
    """Return the fewest and then the smallest primes whose noise bound leaves at least one bit of budget.

    Args:
        folded: a program that has not been placed, and its folded form, by which the primes are found.
        N: the ring degree.
        security: `"128"`, or `"insecure"` for tests.
        circuit_privacy: the bits of statistical distance up to which the noise of answers must be hidden by what
            re-randomises them; None if nothing does.

    Raises:
        ParameterError: if the modulus that the noise needs is too large.
    """
    groups = None if folded.is_trivial else folded
    hidden = 0.5 if circuit_privacy is None else hidden_noise(N, len(folded.program.outputs), circuit_privacy)

    def parameters(count: int, bits: int) -> Parameters:
        chain = (bits,) * count + (MAX_CHAIN_BITS,)
        secure = security == "128" and sum(chain) <= MAX_MODULUS_BITS_128[N]
        return Parameters(Scheme.BFV, N, chain, PLAIN_MODULUS, security="128" if secure else "insecure")

    def budget(program: Program, values: Sequence[BfvNoise], chosen: Parameters) -> float:
        """Return the bits of budget that the result has left; less than any if its noise cannot be hidden."""
        if circuit_privacy is None:
            return budget_bits(program, values)
        outputs = [values[output] for output in program.outputs]
        noise = max(value.largest + zero_noise(chosen, value.level) for value in outputs)
        return -math.log2(2 * (noise + uniform_noise(chosen, outputs[0].level))) if noise <= hidden else -math.inf

    @cache
    def accepted(count: int, bits: int) -> bool:
        chosen = parameters(count, bits)
        _, values = place_bfv(folded.folded, chosen, groups)
        return budget(folded.folded, values, chosen) >= LEAST_BUDGET_BITS

    def placed(program: Program, chosen: Parameters) -> Fit | None:
        result, values = place_bfv(program, chosen)
        left = budget(program, values, chosen)
        if left < LEAST_BUDGET_BITS:
            return None
        return Fit(
            program=result,
            parameters=chosen,
            bound=left,
            tolerance=0.0,
            output_scale=1.0,
            place=lambda another, begin=None: place_bfv(another, chosen, begin=begin)[0],
            states=lambda another: place_bfv(another, chosen)[1],
            again=lambda another: placed(another, chosen),
        )

    # The bits that the noise takes of far too many primes show about how many primes there have to be.
    plenty = Parameters(Scheme.BFV, N, (MAX_CHAIN_BITS,) * (MAX_PRIMES + 1), PLAIN_MODULUS, security="insecure")
    noisiest = max(folded.read(folded.folded, BfvNoiseAlgebra(plenty)), key=lambda value: value.largest)
    taken = MAX_PRIMES * MAX_CHAIN_BITS - noisiest.budget_bits - math.log2(2 * hidden)
    guess = math.ceil(min(taken, MAX_PRIMES * MAX_CHAIN_BITS) / MAX_CHAIN_BITS)
    count = least(lambda count: accepted(count, MAX_CHAIN_BITS), guess, 1, MAX_PRIMES)
    if count is None:
        raise ParameterError(f"the noise needs more than {MAX_PRIMES * MAX_CHAIN_BITS} bits of modulus")
    fewest = least(lambda bits: accepted(count, bits), math.ceil(taken / count), 2 * MIN_PRIME_BITS, MAX_CHAIN_BITS)
    assert fewest is not None  # the largest are enough
    for bits in range(fewest, MAX_CHAIN_BITS + 1):
        chosen = parameters(count, bits)
        if chosen.security != security:
            needed, limit = sum(chosen.coeff_modulus_bits), MAX_MODULUS_BITS_128[N]
            raise ParameterError(f"the noise needs {needed} bits of modulus, and 128-bit security allows {limit}")
        # Values of a group are lowered together in the folded program, and one by one here: the bounds may differ.
        if fit := placed(folded.program, chosen):
            return fit
    raise ParameterError(f"the noise needs more than {count * MAX_CHAIN_BITS} bits of modulus")
