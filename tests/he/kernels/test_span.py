"""Primes of 61 bits are told from other numbers as in plain Python integers."""

from math import isqrt

from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.kernels.passes import span
from he.ring.primes import is_prime

LEAST, LARGEST = 1 << 60, (1 << 61) - 1


@settings(max_examples=100)
@given(st.integers(LEAST // 2, LARGEST // 2).map(lambda half: 2 * half + 1))
@example(LARGEST)
@example(LEAST + 33)
@example(1073741827**2)
def test_primes_are_those_of_the_reference(n: int) -> None:
    assert span.is_prime(n) == is_prime(n)


def test_primes_are_found_whatever_power_of_two_is_in_what_lies_before_them() -> None:
    for power in range(1, 30):
        odds = range(LEAST >> power | 1, LARGEST >> power, 2)
        prime = next(n for odd in odds if is_prime(n := (odd << power) + 1))
        assert span.is_prime(prime)


def test_no_product_of_two_primes_passes() -> None:
    """Those of p and 2 p - 1 pass for a quarter of all bases, more than any others do."""
    least = isqrt(LEAST // 2) + 3 | 1
    factors = [p for p in range(least, least + 60000, 2) if is_prime(p) and is_prime(2 * p - 1)]
    assert len(factors) > 50
    for p in factors:
        assert LEAST < p * (2 * p - 1) < LARGEST
        assert not span.is_prime(p * (2 * p - 1))
