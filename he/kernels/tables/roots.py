"""The numbers that a transform needs: powers of a root of unity in SEAL's order, with their quotients.

The order is the bit-reversed one of P. Longa and M. Naehrig, "Speeding up the Number Theoretic Transform for Faster
Ideal Lattice-Based Cryptography" (CANS 2016), and the root the least one, as in SEAL: residues in SEAL's transformed
form are used as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from he.ring.primes import LARGEST_PRIME_BITS
from he.ring.slots import bit_reversal

WORD = 52  # bits of a factor
CHUNK_BITS = 13  # of a product or a division at a time: with a residue they have at most 63


@dataclass(frozen=True, eq=False)
class Roots:
    """Powers of the least primitive 2N-th root psi modulo p.

    Attributes:
        N: The ring degree.
        prime: p = 1 mod 2N, below 2**50.
        forward: uint64 [N], psi**bitreverse(i).
        forward_quotients: floor(forward 2**52 / p).
        inverse: uint64 [N], psi**-bitreverse(i).
        inverse_quotients: floor(inverse 2**52 / p).
        degree: 1 / N modulo p, and its quotient.
        montgomery: -1 / p modulo 2**52.
    """

    N: int
    prime: int
    forward: np.ndarray
    forward_quotients: np.ndarray
    inverse: np.ndarray
    inverse_quotients: np.ndarray
    degree: tuple[int, int]
    montgomery: int


@cache
def roots(N: int, prime: int) -> Roots:
    """Compute the tables for one prime.

    Raises:
        ValueError: The prime is too large or not 1 modulo 2N.
    """
    if prime.bit_length() > LARGEST_PRIME_BITS or prime % (2 * N) != 1:
        raise ValueError(f"`prime` must be below 2**{LARGEST_PRIME_BITS} and 1 modulo {2 * N}, got {prime}")
    psi = least_root(N, prime)
    forward, inverse = (_tables(root, N, prime) for root in (psi, pow(psi, -1, prime)))
    degree = pow(N, -1, prime)
    montgomery = -pow(prime, -1, 1 << WORD) % (1 << WORD)
    return Roots(N, prime, *forward, *inverse, (degree, quotient(degree, prime)), montgomery)


@cache
def least_root(N: int, prime: int) -> int:
    """Find the least primitive 2N-th root of unity, of a prime below 2**50."""
    candidate = 2
    while True:
        root = pow(candidate, (prime - 1) // (2 * N), prime)
        if pow(root, N, prime) == prime - 1:
            break
        candidate += 1
    others = _times(_powers(root * root % prime, N, prime), root, prime)  # they are its odd powers
    return int(others.min())


def quotient(w: int, prime: int) -> int:
    """Compute floor(w 2**52 / p), which a product with the constant w needs."""
    return (w << WORD) // prime


#: A constant ``value`` modulo a prime, with its ``quotient``.
FACTOR = np.dtype([("value", np.int64), ("quotient", np.int64)])


def factors(values: Iterable[int], primes: Iterable[int]) -> np.ndarray:
    """Reduce constants, each modulo its own prime, and find their quotients: `FACTOR` [values]."""
    return np.array([(w % p, quotient(w % p, p)) for w, p in zip(values, primes, strict=True)], FACTOR)


def arranged(table: np.ndarray) -> np.ndarray:
    """Arrange a table [N] as the transforms on vectors take it.

    In the last two stages eight blocks, which are done at once, have two or four twiddles each: all the first twiddles
    stand before all the second ones.
    """
    result = table.copy()
    for count in (2, 4):
        stage = slice(len(table) * count // 8, len(table) * count // 4)
        result[stage] = table[stage].reshape(-1, 8, count).transpose(0, 2, 1).ravel()
    return result


def _tables(root: int, N: int, prime: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the first N powers in bit-reversed order, and their quotients; both read-only."""
    ordered = _powers(root, N, prime)[bit_reversal(N)]
    quotients, rest = np.zeros(N, np.uint64), ordered
    for _ in range(0, WORD, CHUNK_BITS):  # long division
        rest = rest << CHUNK_BITS
        quotients, rest = (quotients << CHUNK_BITS) + rest // prime, rest % prime
    for array in (ordered, quotients):
        array.setflags(write=False)
    return ordered, quotients


def _powers(root: int, N: int, prime: int) -> np.ndarray:
    """Compute the first N powers, N a power of two: as many again by every product with a constant."""
    powers = np.ones(1, np.uint64)
    while len(powers) < N:
        powers = np.concatenate([powers, _times(powers, pow(root, len(powers), prime), prime)])
    return powers


def _times(values: np.ndarray, w: int, prime: int) -> np.ndarray:
    """Multiply residues of a prime below 2**50 with a constant, some bits of it at a time, so that 64 bits suffice."""
    result = np.zeros_like(values)
    for shift in reversed(range(0, WORD, CHUNK_BITS)):
        digit = w >> shift & (1 << CHUNK_BITS) - 1
        result = ((result << CHUNK_BITS) + values * digit) % prime
    return result
