"""The operations of training, held to the same on the numbers that ciphertexts hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.value import Value
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.parties.cipher import PairCipher
from he.training.arithmetic import Arithmetic
from tests.he.training.made import keys, plan

PLAN = plan()
PARAMETERS, SLOTS = PLAN.parameters, PLAN.block_samples
LEVELS, SCALE = PARAMETERS.levels, 2.0**30
ARITHMETIC, CIPHER = Arithmetic(PLAN, keys(PLAN)[1], 1), PairCipher(keys(PLAN)[0])


def encrypted(pairs):
    """A value of slots [2, SLOTS]."""
    form = Form(PARAMETERS.data_primes, PLAN.degree, True, SCALE, seeded=True)
    return Value(compact.read(CIPHER.encrypt(*pairs, form), form).residues)


def decrypted(value, scale):
    form = Form.result(PARAMETERS, value.level, scale)
    return CIPHER.decrypt(compact.write(CiphertextArray(value.residues, True, scale, None), form), form)


def complex_of(pairs):
    return pairs[0] + 1j * pairs[1]


def pairs(generator, real=False):
    made = generator.uniform(-1, 1, (2, SLOTS))
    return made * [[1], [0]] if real else made


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 19), st.integers(1, 3), st.integers(2, LEVELS))
def test_products_are_summed_column_by_column(seed, terms, columns, level):
    """A number times a pair multiplies both; more terms than are added at once, and factors of fewer primes."""
    generator = np.random.default_rng(seed)
    xs = [pairs(generator, real=True) for _ in range(terms)]
    rows = [[pairs(generator) for _ in range(columns)] for _ in range(terms)]
    lowered = [[ARITHMETIC.lowered(encrypted(y), level) for y in row] for row in rows]
    found = ARITHMETIC.products([encrypted(x) for x in xs], lowered)
    for column, value in enumerate(found):
        wanted = sum(x[0] * row[column] for x, row in zip(xs, rows, strict=True))
        assert value.level == level
        assert np.abs(decrypted(value, SCALE**2) - wanted).max() < 1e-4
    rescaled = ARITHMETIC.rescale(found[0])
    assert rescaled.level == level - 1
    wanted = sum(x[0] * row[0] for x, row in zip(xs, rows, strict=True))
    assert np.abs(decrypted(rescaled, SCALE**2 / PARAMETERS.primes[level - 1]) - wanted).max() < 1e-3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, LEVELS))
def test_totals_add_up_both_numbers_of_all_slots_in_every_slot(seed, level):
    given_ = pairs(np.random.default_rng(seed))
    value = ARITHMETIC.lowered(encrypted(given_), level)
    before = value.residues.copy()
    found = decrypted(ARITHMETIC.total(value), SCALE)
    assert np.abs(found - given_.sum(axis=1, keepdims=True)).max() < 1e-2
    assert np.array_equal(value.residues, before)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**36), 2**36), min_size=1, max_size=3).filter(any))
def test_combinations_are_multiples_summed_and_divided(seed, factors):
    generator = np.random.default_rng(seed)
    given_ = [pairs(generator) for _ in factors]
    found = ARITHMETIC.combination([encrypted(one) for one in given_], factors)
    wanted = sum(factor * one for factor, one in zip(factors, given_, strict=True)) / 2**36
    assert found.level == LEVELS - 1
    assert np.abs(decrypted(found, SCALE * 2.0**36 / PARAMETERS.primes[LEVELS - 1]) - wanted).max() < 1e-4


def test_sums_are_sums():
    one, other = (pairs(np.random.default_rng(seed)) for seed in (0, 1))
    found = ARITHMETIC.add(encrypted(one), encrypted(other))
    assert np.abs(decrypted(found, SCALE) - one - other).max() < 1e-6


def test_threads_return_results_in_order_and_their_errors():
    several = Arithmetic(PLAN, keys(PLAN)[1], 3)
    assert several.each(lambda x: x * x, range(20)) == [x * x for x in range(20)]
    with pytest.raises(ZeroDivisionError):
        several.each(lambda x: 1 // x, [1, 0, 2])
