"""The search for the smallest BFV parameters that leave a noise budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from he.compiler.fit import MAX_CHAIN_BITS, MAX_PRIMES, Fit, least
from he.compiler.place_bfv import place_bfv
from he.engines.rns.encode import encode_exact
from he.program.algebra import run
from he.program.fold import Fold
from he.program.program import Program
from he.readers.flooding import added_noise, hidden_noise, uniform_noise
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra, usual_plain_norm
from he.ring.gadget import Gadgets
from he.ring.norms import norm_of_plaintext
from he.ring.params import (
    MIN_PRIME_BITS,
    ParameterError,
    Parameters,
    Security,
    max_modulus_bits,
)
from he.ring.scheme import Scheme

_MANY_SLOTS = 1 << 21  # for whose norms kernels are worth loading
LEAST_BUDGET_BITS = 1  # of the noise budget that must be left at the end, by the bound


def fit_bfv(
    folded: Fold,
    N: int,
    t: int,
    security: Security,
    hidden_bits: int | None = None,
    checked: bool = True,
    owners: int = 1,
) -> Fit:
    """Return the fewest and then the smallest primes whose noise bound leaves at least one bit of budget.

    They follow from the operations and from declared norms. Packed plaintexts are taken to have the usual norm, which
    nearly all have; where one has a larger one, the declared norm is doubled until it has not.

    Args:
        folded: a program that has not been placed, and its folded form, by which the primes are found.
        N: the ring degree.
        t: the plaintext modulus.
        security: see `Parameters`.
        hidden_bits: the bits of statistical distance up to which the noise of answers must be hidden by what
            re-randomises or opens them; None if nothing does.
        checked: whether plaintexts are looked at. Where they are not, only `Fit.again` makes a program for use.
        owners: how many parties hold the secret key.

    Raises:
        ParameterError: if the modulus that the noise needs is too large, or t is not ≡ 1 mod 2N.
    """
    norms, declared = PlainNorms(t), usual_plain_norm(N, t)
    while not (fit := _fit(folded, N, norms, security, hidden_bits, declared, checked, owners)):
        declared *= 2
    return fit


class PlainNorms:
    """The canonical norms of plaintexts, each computed once.

    Args:
        t: the plaintext modulus.
    """

    def __init__(self, t: int) -> None:
        self.t = t
        self._known: dict[int, tuple[np.ndarray, float]] = {}  # by identity, which lasts as long as the array is kept

    def largest(self, program: Program) -> float:
        """Return the largest norm of the plaintexts that a program multiplies with; 0 if there are none."""
        factors = {id(plaintext): plaintext for plaintext in (program.plaintexts[p.index] for p in program.factors)}
        unknown = [plaintext for i, plaintext in factors.items() if i not in self._known]
        encode = encode_exact if len(unknown) * program.slots >= _MANY_SLOTS else None
        for plaintext in unknown:
            self._known[id(plaintext)] = plaintext, norm_of_plaintext(plaintext, self.t, encode)
        return max((self._known[i][1] for i in factors), default=0.0)


def _fit(
    folded: Fold,
    N: int,
    norms: PlainNorms,
    security: Security,
    hidden_bits: int | None,
    declared: float,
    checked: bool,
    owners: int,
) -> Fit | None:
    """Return the fit under a declared norm of packed plaintexts; None if one of them is beyond it."""
    t = norms.t
    groups, limit = None if folded.is_trivial else folded, max_modulus_bits(N, security)

    def parameters(count: int, bits: int) -> Parameters:
        chain = (bits,) * count + (MAX_CHAIN_BITS,)
        fits = limit is None or sum(chain) <= limit
        return Parameters(Scheme.BFV, N, chain, t, security=security if fits else "insecure", owners=owners)

    @cache
    def accepted(count: int, bits: int) -> bool:
        chosen = parameters(count, bits)
        _, values = place_bfv(folded.folded, chosen, groups, plain_norm=declared)
        outputs = [values[output] for output in folded.folded.outputs]
        return _budget(outputs, chosen, hidden_bits) >= LEAST_BUDGET_BITS

    least_bits = max(2 * MIN_PRIME_BITS, t.bit_length() + 1)  # t is below every prime, and none of them
    # The bits that the noise takes of far too many primes show about how many primes there have to be.
    plenty = parameters(MAX_PRIMES, MAX_CHAIN_BITS)
    noisiest = max(folded.read(folded.folded, BfvNoiseAlgebra(plenty, declared)), key=lambda value: value.largest)
    taken = (
        MAX_PRIMES * MAX_CHAIN_BITS
        - noisiest.budget_bits
        - math.log2(2 * _hidden(N, len(folded.program.outputs), hidden_bits))
    )
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
        if fit := _placed(folded.program, chosen, norms, hidden_bits, declared):
            return fit if not checked or norms.largest(folded.program) <= declared else None
    raise ParameterError(f"the noise needs more than {count * MAX_CHAIN_BITS} bits of modulus")


def _placed(
    program: Program, chosen: Parameters, norms: PlainNorms, hidden_bits: int | None, declared: float
) -> Fit | None:
    """Return the fit of a program placed for these parameters; None if too little budget is left."""
    result, values = place_bfv(program, chosen, plain_norm=declared)
    left = _budget([values[output] for output in program.outputs], chosen, hidden_bits)
    if left < LEAST_BUDGET_BITS:
        return None

    def bound_with(gadgets: Gadgets) -> float | None:
        outputs = run(result, BfvNoiseAlgebra(chosen, declared, gadgets))
        with_them = _budget(outputs, chosen, hidden_bits)
        return None if with_them < LEAST_BUDGET_BITS else min(left, with_them)

    def again(another: Program) -> Fit | None:
        usual = norms.largest(another) <= declared
        return _placed(another, chosen, norms, hidden_bits, declared) if usual else None

    return Fit(
        program=result,
        parameters=chosen,
        bound=left,
        tolerance=0.0,
        output_scale=1.0,
        place=lambda another, begin=None: place_bfv(another, chosen, None, begin, declared)[0],
        states=lambda another: place_bfv(another, chosen, plain_norm=declared)[1],
        bound_with=bound_with,
        again=again,
    )


def placed_budget(program: Program, parameters: Parameters, norms: PlainNorms, gadgets: Gadgets) -> float:
    """Return the bits of budget that a program leaves that was placed for parameters, with plaintexts of these norms.

    It leaves so many with keys switched by these gadgets, and by one special prime at every level.

    Raises:
        ParameterError: if a plaintext is larger than plaintexts usually are, or too little budget is left.
    """
    declared = usual_plain_norm(parameters.poly_modulus_degree, parameters.t)
    if norms.largest(program) > declared:
        raise ParameterError(f"a plaintext is unusually large modulo {norms.t}: choose another prime")
    ways = Gadgets.of(parameters), gadgets
    values = [value for way in ways for value in run(program, BfvNoiseAlgebra(parameters, declared, way))]
    left = min(value.budget_bits for value in values)
    if left < LEAST_BUDGET_BITS:
        raise ParameterError(
            f"the weights modulo {norms.t} leave {left:.1f} bits of noise budget: choose another prime"
        )
    return left


def _budget(outputs: Sequence[BfvNoise], chosen: Parameters, hidden_bits: int | None) -> float:
    """Return the bits of budget that results have left; less than any if their noise cannot be hidden."""
    if hidden_bits is None:
        return min(value.budget_bits for value in outputs)
    noise = max(value.largest + added_noise(chosen, value.level) for value in outputs)
    hidden = _hidden(chosen.poly_modulus_degree, len(outputs), hidden_bits)
    return -math.log2(2 * (noise + uniform_noise(chosen, outputs[0].level))) if noise <= hidden else -math.inf


def _hidden(N: int, outputs: int, hidden_bits: int | None) -> float:
    """Return the largest noise that an answer may have: what is decrypted, or what is hidden as well."""
    return 0.5 if hidden_bits is None else hidden_noise(N, outputs, hidden_bits)
