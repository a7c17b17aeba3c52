"""Primes p ≡ 1 mod 2N, for which Z_p has the 2N-th roots of unity that the number-theoretic transform needs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

LARGEST_PRIME_BITS = 50  # that kernels compute with, in words of 52 bits

# The first twelve primes as bases make Miller-Rabin deterministic below 3.3e24 (Sorenson and Webster, 2015).
BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


@lru_cache(maxsize=4096)  # the search for parameters asks for the same numbers hundreds of times
def is_prime(n: int) -> bool:
    """Return whether `n`, below 2**64, is prime, by deterministic Miller-Rabin."""
    if n < 2:
        return False
    for p in BASES:
        if n % p == 0:
            return n == p
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in BASES:
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def ntt_primes(bit_sizes: tuple[int, ...], poly_modulus_degree: int) -> tuple[int, ...]:
    """Return distinct primes ≡ 1 mod 2N of the given bit sizes, in SEAL's order (`CoeffModulus::Create`).

    A size that occurs k times gets its k largest primes, the smallest of them first.

    Raises:
        ValueError: if there are not enough primes of a size.
    """
    step = 2 * poly_modulus_degree
    found: dict[int, list[int]] = {}
    for bits, count in Counter(bit_sizes).items():
        primes: list[int] = []
        candidate = ((1 << bits) - 1) // step * step + 1
        while len(primes) < count and candidate >> (bits - 1):
            if candidate < 1 << bits and is_prime(candidate):
                primes.append(candidate)
            candidate -= step
        if len(primes) < count:
            raise ValueError(f"there are only {len(primes)} primes of {bits} bits ≡ 1 mod {step}, {count} needed")
        found[bits] = primes
    return tuple(found[bits].pop() for bits in bit_sizes)
