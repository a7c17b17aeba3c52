"""The search for the smallest BFV parameters that leave a noise budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from he.compiler.fit import MAX_CHAIN_BITS, MAX_PRIMES, Fit, least
from he.compiler.place_bfv import budget_bits, place_bfv
from he.program.fold import Fold
from he.program.program import Program
from he.readers.flooding import hidden_noise, uniform_noise, zero_noise
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra, usual_plain_norm
from he.ring.norms import norm_of_plaintext
from he.ring.params import (
    MIN_PRIME_BITS,
    ParameterError,
    Parameters,
    Security,
    max_modulus_bits,
)
from he.ring.scheme import Scheme

LEAST_BUDGET_BITS = 1  # of the noise budget that must be left at the end, by the bound


def fit_bfv(folded: Fold, N: int, t: int, security: Security, circuit_privacy: int | None = None) -> Fit:
    """Return the fewest and then the smallest primes whose noise bound leaves at least one bit of budget.

    They follow from the operations and from declared norms. Packed plaintexts are taken to have the usual norm, which
    nearly all have; where one has a larger one, the declared norm is doubled until it has not.

    Args:
        folded: a program that has not been placed, and its folded form, by which the primes are found.
        N: the ring degree.
        t: the plaintext modulus.
        security: see `Parameters`.
        circuit_privacy: the bits of statistical distance up to which the noise of answers must be hidden by what
            re-randomises them; None if nothing does.

    Raises:
        ParameterError: if the modulus that the noise needs is too large, or t is not ≡ 1 mod 2N.
    """
    declared = usual_plain_norm(N, t)
    while not (fit := _fit(folded, N, t, security, circuit_privacy, declared)):
        declared *= 2
    return fit


def _fit(folded: Fold, N: int, t: int, security: Security, circuit_privacy: int | None, declared: float) -> Fit | None:
    """Return the fit under a declared norm of packed plaintexts; None if one of them is beyond it."""
    groups, limit = None if folded.is_trivial else folded, max_modulus_bits(N, security)
    hidden = 0.5 if circuit_privacy is None else hidden_noise(N, len(folded.program.outputs), circuit_privacy)

    def parameters(count: int, bits: int) -> Parameters:
        chain = (bits,) * count + (MAX_CHAIN_BITS,)
        fits = limit is None or sum(chain) <= limit
        return Parameters(Scheme.BFV, N, chain, t, security=security if fits else "insecure")

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
        _, values = place_bfv(folded.folded, chosen, groups, plain_norm=declared)
        return budget(folded.folded, values, chosen) >= LEAST_BUDGET_BITS

    def placed(program: Program, chosen: Parameters) -> Fit | None:
        result, values = place_bfv(program, chosen, plain_norm=declared)
        left = budget(program, values, chosen)
        if left < LEAST_BUDGET_BITS:
            return None
        return Fit(
            program=result,
            parameters=chosen,
            bound=left,
            tolerance=0.0,
            output_scale=1.0,
            place=lambda another, begin=None: place_bfv(another, chosen, None, begin, declared)[0],
            states=lambda another: place_bfv(another, chosen, plain_norm=declared)[1],
            again=lambda another: placed(another, chosen) if _largest_norm(another, t) <= declared else None,
        )

    least_bits = max(2 * MIN_PRIME_BITS, t.bit_length() + 1)  # t is below every prime, and none of them
    # The bits that the noise takes of far too many primes show about how many primes there have to be.
    plenty = Parameters(Scheme.BFV, N, (MAX_CHAIN_BITS,) * (MAX_PRIMES + 1), t, security="insecure")
    noisiest = max(folded.read(folded.folded, BfvNoiseAlgebra(plenty, declared)), key=lambda value: value.largest)
    taken = MAX_PRIMES * MAX_CHAIN_BITS - noisiest.budget_bits - math.log2(2 * hidden)
    guess = math.ceil(min(taken, MAX_PRIMES * MAX_CHAIN_BITS) / MAX_CHAIN_BITS)
    count = least(lambda count: accepted(count, MAX_CHAIN_BITS), guess, 1, MAX_PRIMES)
    if count is None:
        raise ParameterError(f"the noise needs more than {MAX_PRIMES * MAX_CHAIN_BITS} bits of modulus")
    fewest = least(lambda bits: accepted(count, bits), math.ceil(taken / count), least_bits, MAX_CHAIN_BITS)
    assert fewest is not None  # the largest are enough
    for bits in range(fewest, MAX_CHAIN_BITS + 1):
        chosen = parameters(count, bits)
        if chosen.security != security:
            needed = sum(chosen.coeff_modulus_bits)
            raise ParameterError(
                f"the noise needs {needed} bits of modulus, and 128-bit classical security allows {limit}"
            )
        # Values of a group are lowered together in the folded program, and one by one here: the bounds may differ.
        if fit := placed(folded.program, chosen):
            return fit if _largest_norm(folded.program, t) <= declared else None
    raise ParameterError(f"the noise needs more than {count * MAX_CHAIN_BITS} bits of modulus")


def _largest_norm(program: Program, t: int) -> float:
    """Return the largest canonical norm of the plaintexts that a program multiplies with; 0 if there are none."""
    factors = {plain.index for plain in program.factors}
    return max((norm_of_plaintext(program.plaintexts[index], t) for index in factors), default=0.0)
