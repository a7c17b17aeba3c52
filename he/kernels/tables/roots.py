"""The numbers that a transform needs: powers of a root of unity in SEAL's order, with their quotients.

The order is the bit-reversed one of P. Longa and M. Naehrig, "Speeding up the Number Theoretic Transform for Faster
Ideal Lattice-Based Cryptography" (CANS 2016), and the root the least one, as in SEAL: residues in SEAL's transformed
form are used as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from he.ring.slots import bit_reversal

WORD = 52  # bits of a factor
LARGEST_PRIME_BITS = 50


@dataclass(frozen=True, eq=False)
class Roots:
    """Powers of the least primitive 2N-th root psi modulo p.

    Attributes:
        N: Ring degree.
        prime: p = 1 mod 2N, below 2**50.
        forward: uint64 [N], psi**bitreverse(i).
        forward_quotients: floor(forward 2**52 / p).
        inverse: uint64 [N], psi**-bitreverse(i).
        inverse_quotients: As above.
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
    """The tables for one prime.

    Raises:
        ValueError: The prime is too large or not 1 modulo 2N.
    """
    if prime.bit_length() > LARGEST_PRIME_BITS or prime % (2 * N) != 1:
        raise ValueError(f"`prime` must be below 2**{LARGEST_PRIME_BITS} and 1 modulo {2 * N}, got {prime}")
    psi = least_root(N, prime)
    forward, inverse = (_powers(root, N, prime) for root in (psi, pow(psi, -1, prime)))
    degree = pow(N, -1, prime)
    montgomery = -pow(prime, -1, 1 << WORD) % (1 << WORD)
    return Roots(N, prime, *forward, *inverse, (degree, quotient(degree, prime)), montgomery)


def least_root(N: int, prime: int) -> int:
    """The least primitive 2N-th root of unity."""
    candidate = 2
    while True:
        root = pow(candidate, (prime - 1) // (2 * N), prime)
        if pow(root, N, prime) == prime - 1:
            break
        candidate += 1
    square = root * root % prime
    least, power = root, root
    for _ in range(N - 1):  # the others are its odd powers
        power = power * square % prime
        least = min(least, power)
    return least


def quotient(w: int, prime: int) -> int:
    """floor(w 2**52 / p): what a product with the constant w needs."""
    return (w << WORD) // prime


#: A constant ``value`` modulo a prime, with its ``quotient``.
FACTOR = np.dtype([("value", np.int64), ("quotient", np.int64)])


def factors(values: Iterable[int], primes: Iterable[int]) -> np.ndarray:
    """Constants, each modulo its own prime: `FACTOR` [values]."""
    return np.array([(w % p, quotient(w % p, p)) for w, p in zip(values, primes, strict=True)], FACTOR)


def arranged(table: np.ndarray) -> np.ndarray:
    """A table [N] as the transforms on vectors take it.

    In the last two stages eight blocks that are done at once have two or four twiddles each: first all the first ones.
    """
    result = table.copy()
    for count in (2, 4):
        stage = slice(len(table) * count // 8, len(table) * count // 4)
        result[stage] = table[stage].reshape(-1, 8, count).transpose(0, 2, 1).ravel()
    return result


def _powers(root: int, N: int, prime: int) -> tuple[np.ndarray, np.ndarray]:
    """The first N powers in bit-reversed order, and their quotients."""
    powers = [1]
    for _ in range(N - 1):
        powers.append(powers[-1] * root % prime)
    ordered = [powers[i] for i in bit_reversal(N)]
    return _array(ordered), _array([quotient(w, prime) for w in ordered])


def _array(values: list[int]) -> np.ndarray:
    array = np.array(values, np.uint64)
    array.setflags(write=False)
    return array
