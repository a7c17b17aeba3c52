"""The noise that floods an answer's own, drawn from the operating system's generator."""

from __future__ import annotations

import math
import os

import numpy as np

from he.circuit.interface import Interface
from he.readers import flooding

_NORMAL_BITS = 49  # of a normal number's deviation, so that float64 holds eight of them exactly


def flood(interface: Interface) -> np.ndarray:
    """Return noise for one ciphertext of an answer, as large as `he.readers.flooding` has it.

    Returns:
        The residues of its coefficients, uint64 [level, N]: first some bits are drawn, and then more bits.
    """
    parameters, level = interface.parameters, interface.output_level
    N, primes = parameters.poly_modulus_degree, np.array(parameters.primes[:level], np.uint64)[:, None]
    if parameters.scheme.exact:
        signs = np.frombuffer(os.urandom(N), np.uint8) & 1
        first, more = -signs.astype(np.int64), flooding.uniform_bits(parameters, level) - 1
    else:
        deviation = flooding.normal_deviation(N, interface.output_scale, interface.tolerance / 2)
        more = max(0, math.ceil(math.log2(deviation)) - _NORMAL_BITS)
        first = _normal(N, deviation / 2**more)
    return _lengthened(residues(first, primes), more, primes)


def residues(integers: np.ndarray, primes: np.ndarray) -> np.ndarray:
    """Return small integers, int64 [N], modulo primes uint64 [level, 1]: uint64 [level, N]."""
    return (integers % primes.astype(np.int64)).astype(np.uint64)


def _normal(N: int, deviation: float) -> np.ndarray:
    """Return int64 [N], normal numbers that are rounded, by Box and Muller's transform."""
    radius, angle = (np.frombuffer(os.urandom(16 * N), np.uint64) >> 11).reshape(2, N) / 2.0**53
    return np.rint(deviation * np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)).astype(np.int64)


def _lengthened(residues: np.ndarray, bits: int, primes: np.ndarray) -> np.ndarray:
    """Return the residues uint64 [level, N] of 2^bits x + r for those of x, with r uniform from 0 to 2^bits - 1."""
    for start in range(0, bits, 8):
        width = np.uint8(min(8, bits - start))
        digits = np.frombuffer(os.urandom(residues.shape[1]), np.uint8) >> (8 - width)
        residues = ((residues << width) + digits) % primes  # primes have at most 50 bits
    return residues
