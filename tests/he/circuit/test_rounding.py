"""Weights are rounded at random: to what engines encode, to the right mean, by less than one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.circuit.rounding import rounded_matrix, rounded_slots
from he.engines.rns.encode import encode_approximate
from he.program.operations import Matrix, Plain
from he.ring.slots import polynomial, slots_of

SLOTS, PLAIN = 512, Plain(0, 2, 2.0**20)
salts = st.binary(min_size=32, max_size=32)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), salts, st.integers(0, 40))
def test_packed_weights_become_polynomials_with_integer_coefficients(seed, salt, bits):
    slots, plain = np.random.default_rng(seed).normal(size=SLOTS), Plain(3, 2, 2.0**bits / 3)
    rounded = rounded_slots(slots, plain, salt)
    coefficients = polynomial(rounded) * plain.scale
    assert coefficients == pytest.approx(np.rint(coefficients), abs=1e-3)  # so every encoder finds the same
    assert np.abs(np.rint(coefficients) - polynomial(slots) * plain.scale).max() < 1 + 1e-3
    assert np.array_equal(encode_approximate(rounded, plain.scale), np.rint(coefficients).astype(np.int64))
    assert np.array_equal(rounded, rounded_slots(slots, plain, salt))


def chosen_against_rounding() -> np.ndarray:
    """Slots whose coefficients all lie 0.45 above an integer: to the nearest, all errors would be alike."""
    coefficients = np.full(2 * SLOTS, 0.45)
    coefficients[SLOTS] = 0.0
    coefficients[SLOTS + 1 :] *= -1
    return slots_of(coefficients) / PLAIN.scale


def test_errors_have_mean_zero_and_the_variance_that_is_assumed_whatever_the_weights():
    slots = chosen_against_rounding()
    errors = np.array([rounded_slots(slots, PLAIN, bytes([i] * 32)) - slots for i in range(100)]) * PLAIN.scale
    assert np.abs(errors.mean(axis=0)).max() <= 6 * np.sqrt(2 * SLOTS / 4 / 100)
    assert np.mean(errors**2) <= 2 * SLOTS / 4 * 1.05


def test_equal_weights_in_other_places_have_other_errors():
    slots, matrix = chosen_against_rounding(), Matrix((0, 1), np.full((2, 2), 0.3), np.zeros(2), 2, 1.0, 1.0)
    one, other = (rounded_slots(slots, Plain(index, 2, PLAIN.scale), bytes(32)) for index in (0, 1))
    assert not np.array_equal(one, other)
    assert len({rounded_matrix(matrix, number, bytes(32)).weights.tobytes() for number in range(64)}) > 10


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1), salts)
def test_matrices_become_multiples_of_what_their_scale_resolves(rows, terms, seed, salt):
    rng = np.random.default_rng(seed)
    matrix = Matrix((0,) * terms, rng.normal(size=(rows, terms)), rng.normal(size=rows), 2, 1e6 / 3, 1e12 / 7)
    result = rounded_matrix(matrix, 5, salt)
    for before, after, scale in (
        (matrix.weights, result.weights, matrix.scale),
        (matrix.constants, result.constants, matrix.constant_scale),
    ):
        assert after * scale == pytest.approx(np.rint(after * scale), abs=1e-3)
        assert np.abs(after - before).max() * scale <= 1 + 1e-3
