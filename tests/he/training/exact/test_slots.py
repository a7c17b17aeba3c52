"""Packed pairs come back, and what is packed with anything else is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.encode import decode_exact, encode_exact
from he.ring.plain_moduli import primes_below
from he.ring.slots import halves
from he.training.exact.slots import packed_pairs, packed_slots, sample_slots

N = 1024
MODULI = tuple(next(primes_below(1 << bits, N)) for bits in (17, 25, 40))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(MODULI), st.integers(1, N // 2), st.integers(0, 2**32 - 1))
def test_pairs_come_back(t, count, seed):
    a, b = np.random.default_rng(seed).integers(-t // 2, t // 2, (2, count))
    found = packed_pairs(packed_slots(a, b, N, t), count, t)
    for pairs, numbers in zip(found, (a, b), strict=True):
        assert pairs.tolist() == (numbers % t).tolist()


@pytest.mark.parametrize("t", MODULI)
def test_a_single_pair_lies_in_its_halves(t):
    slots = packed_slots(np.array([5]), np.array([-3]), N, t)
    assert set(slots[halves(N)].tolist()) == {5}
    assert set(slots[~halves(N)].tolist()) == {t - 3}


def test_what_lies_elsewhere_is_refused():
    t, coefficients = MODULI[0], np.zeros(N, np.int64)
    coefficients[1] = 1
    assert packed_pairs(decode_exact(coefficients, t), 3, t) is None
    assert packed_pairs(decode_exact(0 * coefficients, t), 3, t) is not None


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_slots_and_coefficients_are_inverses(seed):
    t, rng = MODULI[1], np.random.default_rng(seed)
    slots = rng.integers(0, t, N)
    assert np.array_equal(decode_exact(encode_exact(slots, t), t), slots)


def test_samples_lie_in_both_halves():
    slots = sample_slots(np.arange(1, 4), N)
    assert slots[halves(N)].sum() == slots[~halves(N)].sum() == 6
    assert slots.tolist() == [1, 2, 3, *[0] * (N // 2 - 3)] * 2
