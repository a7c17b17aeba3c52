"""Choosing packing and parameters: the smallest that a noise or error bound accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from he.levels import place_bfv, place_ckks
from he.linear import LinearMap, Stage
from he.lower import gather, power_of_two, width_of
from he.noise import CkksError, CkksErrorAlgebra
from he.packing import Packing
from he.params import (
    MAX_MODULUS_BITS_128,
    MAX_PRIME_BITS,
    MIN_PRIME_BITS,
    PLAIN_MODULUS,
    ParameterError,
    Parameters,
    Scheme,
    Security,
)
from he.program import PlainDot, Program, Relinearise, ScalarDot, arguments, run

MAX_REQUEST_CIPHERTEXTS = 256  # where the compiler is free to choose, a request stays below some 200 MB
MAX_PRIMES = 16  # data primes: more than 128-bit security admits at any ring; 2^-960 is still a float64
SCALE_ROOM_BITS = 2  # by so much SEAL wants a modulus to be longer than a scale
MIN_SCALE_BITS = 22  # below this CKKS's rounding drowns the weights of a network


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


def fit_bfv(program: Program, N: int, security: Security) -> tuple[Program, Parameters, float]:
    """The fewest and then the smallest primes whose noise bound leaves at least one bit of budget."""

    def attempt(count: int, bits: int) -> tuple[Program, Parameters, float]:
        chain = (bits,) * count + (MAX_PRIME_BITS,)
        secure = security == "128" and sum(chain) <= MAX_MODULUS_BITS_128[N]
        parameters = Parameters("bfv", N, chain, PLAIN_MODULUS, security="128" if secure else "insecure")
        placed, noise = place_bfv(program, parameters)
        return placed, parameters, noise.budget_bits

    fits = (count for count in range(1, MAX_PRIMES + 1) if attempt(count, MAX_PRIME_BITS)[2] >= 1)
    count = next(fits, None)
    if count is None:
        raise ParameterError(f"N={N}: its noise needs more than {MAX_PRIMES * MAX_PRIME_BITS} bits of modulus")
    bits = MAX_PRIME_BITS
    while bits > 2 * MIN_PRIME_BITS and attempt(count, bits - 1)[2] >= 1:
        bits -= 1
    placed, parameters, budget = attempt(count, bits)
    if parameters.security != security:
        limit = MAX_MODULUS_BITS_128[N]
        raise ParameterError(
            f"N={N}: its noise needs {sum(parameters.coeff_modulus_bits)} bits of modulus, and at most "
            f"{limit} keep 128-bit security"
        )
    return placed, parameters, budget


def fit_ckks(
    program: Program, N: int, input_range: tuple[float, float], max_error: float, security: Security
) -> tuple[Program, Parameters, CkksError]:
    """The largest scale whose chain fits, if its error bound is within `max_error`."""
    depth, best = depth_of(program), math.inf
    limit = MAX_MODULUS_BITS_128[N] if security == "128" else MAX_PRIMES * MAX_PRIME_BITS

    def attempt(first: int, scale_bits: int) -> tuple[Program, Parameters, CkksError, float]:
        chain = (first, *(scale_bits,) * depth, min(MAX_PRIME_BITS, limit - depth * scale_bits - first))
        parameters = Parameters("ckks", N, chain, scale_bits=scale_bits, security=security)
        placed = place_ckks(program, parameters)
        bounds = CkksErrorAlgebra(parameters, placed, *input_range)
        result = run(placed, bounds)
        return placed, parameters, result, bounds.headroom

    for scale_bits in range(min(50, (limit - 2 * SCALE_ROOM_BITS) // (depth + 2)), MIN_SCALE_BITS - 1, -1):
        first = min(MAX_PRIME_BITS, (limit - depth * scale_bits) // 2)
        try:
            *_, headroom = attempt(first, scale_bits)
        except ParameterError:
            break  # there are too few primes of this size, and fewer of smaller ones
        if headroom >= 1:
            # Bits that the values do not need make the special prime larger, and key switching less noisy.
            spare = min(int(headroom) - 1, first - scale_bits - SCALE_ROOM_BITS)
            placed, parameters, result, _ = attempt(first - spare, scale_bits)
            if result.bound <= max_error:
                return placed, parameters, result
            best = min(best, result.bound)
    raise ParameterError(
        f"N={N}: {depth} rescalings within {limit} bits of modulus leave "
        + (f"an error bound of {best:.2g}, more than {max_error}" if best < math.inf else "no room for the values")
    )


def depth_of(program: Program) -> int:
    """Rescalings on the longest path."""
    depth: list[int] = []
    for operation in program.operations:
        before = max((depth[a] for a in arguments(operation)), default=0)
        depth.append(before + isinstance(operation, PlainDot | ScalarDot | Relinearise))
    return depth[program.output]
