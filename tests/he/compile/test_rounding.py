"""Weights are rounded at random: to what engines encode, to the right mean, by less than one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compile.rounding import rounded
from he.engines.rns.encode import encode_approximate
from he.program.operations import AddPlain, Matrix, Plain, PlainDot
from he.program.recorder import Recorder
from he.ring.slots import slots_of

SLOTS, SCALE = 512, 2.0**20


def packed(slots):
    recorder = Recorder([slots])
    value = recorder.plain_dot([recorder.input(0)], [Plain(0, 2, SCALE)])
    return recorder.program(SLOTS, [recorder.add_plain(value, Plain(0, 2, SCALE**2))])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_packed_weights_become_polynomials_with_integer_coefficients(seed, salt):
    slots = np.random.default_rng(seed).normal(size=SLOTS)
    dot, addition = rounded(packed(slots), salt).operations[1:]
    assert isinstance(dot, PlainDot)
    assert isinstance(addition, AddPlain)
    program = rounded(packed(slots), salt)
    for plain in (*dot.plains, addition.plain):
        encoded = encode_approximate(program.plaintexts[plain.index], plain.scale)
        before = encode_approximate(slots, plain.scale)
        assert np.abs(encoded - before).max() <= 1
        again = encode_approximate(rounded(packed(slots), salt).plaintexts[plain.index], plain.scale)
        assert np.array_equal(encoded, again)


def test_errors_have_mean_zero_and_the_variance_that_is_assumed_even_where_weights_were_chosen_against_it():
    """A constant of 0.45 beside an integer in every coefficient: to the nearest, all errors would be alike."""
    coefficients = np.full(2 * SLOTS, 0.45)
    coefficients[SLOTS] = 0.0
    coefficients[SLOTS + 1 :] *= -1
    slots = slots_of(coefficients * np.sign(np.cos(np.arange(2 * SLOTS)))) / SCALE
    program = packed(slots)
    errors = np.array([rounded(program, bytes([i] * 32)).plaintexts[0] - slots for i in range(100)]) * SCALE
    assert np.abs(errors.mean(axis=0)).max() <= 6 * np.sqrt(2 * SLOTS / 4 / 100)
    assert np.mean(errors**2) <= 2 * SLOTS / 4 * 1.05


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_matrices_become_multiples_of_what_their_scale_resolves(rows, terms, seed):
    rng = np.random.default_rng(seed)
    recorder = Recorder()
    values = [recorder.input(i) for i in range(terms)]
    matrix = Matrix((0,) * terms, rng.normal(size=(rows, terms)), rng.normal(size=rows), 2, 1e6 / 3, 1e12 / 7)
    program = recorder.program(1, list(recorder.matrix(values, matrix)))
    result = rounded(program, bytes(32)).operations[-1]
    assert isinstance(result, Matrix)
    for before, after, scale in (
        (matrix.weights, result.weights, matrix.scale),
        (matrix.constants, result.constants, matrix.constant_scale),
    ):
        assert after * scale == pytest.approx(np.rint(after * scale), abs=1e-3)
        assert np.abs(after - before).max() * scale <= 1 + 1e-3
