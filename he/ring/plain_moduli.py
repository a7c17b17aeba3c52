"""The plaintext moduli t that the compiler chooses from: primes for which plaintexts of every ring have slots.

A client sees t, which follows from how far a network's numbers may reach. So there is one t for the usual networks,
2^16 + 1, and otherwise one for every even number of bits: it tells the reach up to a factor of four.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from he.ring.params import RING_DEGREES, ParameterError
from he.ring.primes import is_prime

LARGEST_RING = 32768  # of those in which plaintexts have slots modulo all of these

#: The bits of the moduli; there is no prime of 18 bits. Larger ones are too close to the primes of the chain.
SIZES = (17, *range(20, 50, 2))


def moduli(bits: int) -> Iterator[int]:
    """Yield the primes ≡ 1 mod 2N, for every N up to `LARGEST_RING`, of so many bits; the largest first."""
    return takewhile(lambda t: t >> (bits - 1), primes_below(1 << bits, LARGEST_RING))


def primes_below(limit: int, N: int) -> Iterator[int]:
    """Yield the primes ≡ 1 mod 2N from below a limit to 65537, the largest first."""
    return filter(is_prime, range((limit - 2) // (2 * N) * (2 * N) + 1, 1 << 16, -2 * N))


def least_modulus(reach: int) -> int | None:
    """Return the smallest modulus that holds all integers within +-reach; None if the largest does not."""
    return next((t for t in map(next, map(moduli, SIZES)) if t // 2 >= reach), None)


def largest_modulus() -> int:
    """Return the largest modulus that is chosen."""
    return next(moduli(SIZES[-1]))


def require_modulus(t: object) -> int:
    """Return a plaintext modulus that a caller names, if it is one for some ring.

    Raises:
        ParameterError: if it is no prime ≡ 1 mod 2048, or has more bits than the compiler works with.
    """
    step, most = 2 * RING_DEGREES[0], SIZES[-1]
    if not isinstance(t, int) or t % step != 1 or not 1 < t < 1 << most or not is_prime(t):
        raise ParameterError(
            f"`plain_modulus` must be a prime ≡ 1 mod {step} (mod 2N, for a ring of degree N) of at most {most} bits, "
            f"got {t!r:.80}; leave it out to have it chosen"
        )
    return t
