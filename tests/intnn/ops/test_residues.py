import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.ops.residues import EXACT, WIDEST, Modulo, combined, enough_primes, primes_below, widest


def test_primes_come_from_the_largest_downwards():
    below = list(primes_below(1000))
    assert below == sorted(below, reverse=True)
    assert below == [n for n in range(999, 2, -1) if all(n % d for d in range(2, math.isqrt(n) + 1))]


@pytest.mark.parametrize("fan_in", [1, 2, 25, 784, 1 << 20, (1 << 24) - 1])
def test_sums_of_products_of_residues_stay_exact(fan_in):
    largest = (widest([fan_in]) + 1) // 2  # in magnitude, one half beyond p / 2 for what is rounded the other way
    assert (fan_in + 1) * largest**2 < EXACT
    assert widest([fan_in]) <= WIDEST
    assert next(primes_below(widest([fan_in]))) > 2


@given(st.lists(st.integers(-(2**200), 2**200), min_size=1, max_size=5), st.integers(1, 5000))
def test_residues_tell_integers_apart(values, fan_in):
    bound = max(abs(value) for value in values)
    primes = enough_primes(bound, [fan_in])
    assert len(set(primes)) == len(primes)
    x = np.array(values, object)
    residues = [Modulo(prime).residues(x) for prime in primes]
    for prime, found in zip(primes, residues, strict=True):
        assert found.dtype == np.float64
        assert (np.abs(found) <= (prime + 1) / 2).all()
    assert combined(residues, primes).tolist() == values


@given(st.lists(st.integers(-EXACT + 1, EXACT - 1), min_size=1), st.sampled_from([np.int64, np.float64]))
def test_floats_and_integers_have_the_same_residues(values, dtype):
    prime = 67108859
    found = Modulo(prime).residues(np.array(values, dtype))
    assert [(int(r) - v) % prime for r, v in zip(found, values, strict=True)] == [0] * len(values)
    assert (np.abs(found) <= (prime + 1) / 2).all()


def test_float32_is_widened_before_anything_is_multiplied():
    assert Modulo(67108859).residues(np.array([1 << 23], np.float32)).dtype == np.float64
