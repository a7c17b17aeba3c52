"""The operations of training, held to the same on the numbers that ciphertexts hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.compact import Form
from he.parties.cipher import PairCipher
from he.training.arithmetic import Arithmetic, Matrix, packed_sizes, read, written
from tests.he.training.made import keys, plan
from tests.he.training.refreshed import made as made_network

PLAN = plan()
PARAMETERS, SLOTS = PLAN.parameters, PLAN.block_samples
LEVELS, SCALE = PARAMETERS.levels, 2.0**30
ARITHMETIC, CIPHER = Arithmetic(PLAN, keys(PLAN)[1], 1), PairCipher(keys(PLAN)[0])


def encrypted(pairs):
    """A ciphertext of slots [2, SLOTS]."""
    form = Form(PARAMETERS.data_primes, PLAN.degree, True, SCALE, seeded=True)
    (made,) = CIPHER.encrypt(pairs[:1] + 1j * pairs[1:], form)
    return read(made, form)


def decrypted(ciphertext, scale):
    form = Form.result(PARAMETERS, ciphertext.shape[1], scale)
    return CIPHER.decrypt(written(ciphertext, form), form)


def unpacked(ciphertexts, count, scale):
    """The pairs [count, 2] that are packed."""
    form = Form.result(PARAMETERS, ciphertexts[0].shape[1], scale)
    parts = zip(ciphertexts, packed_sizes(count, SLOTS), strict=True)
    return np.concatenate([CIPHER.decrypt_packed(written(part, form), form, size) for part, size in parts])


def pairs(generator, real=False):
    made = generator.uniform(-1, 1, (2, SLOTS))
    return made * [[1], [0]] if real else made


def held(ciphertexts, columns):
    return ARITHMETIC.matrix([lambda x=x: x for x in ciphertexts], columns)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 19), st.integers(1, 3), st.integers(2, LEVELS))
def test_products_are_those_of_matrices(seed, rows, terms, columns, level):
    """A number times a pair multiplies both; also with factors of fewer primes, and of a matrix that was transposed."""
    generator = np.random.default_rng(seed)
    xs = [[pairs(generator, real=True) for _ in range(terms)] for _ in range(rows)]
    ys = [[pairs(generator) for _ in range(columns)] for _ in range(terms)]
    left = Matrix.stacked([held([encrypted(x) for x in row], terms) for row in xs])
    right = [[ARITHMETIC.lowered(encrypted(y), level) for y in row] for row in ys]
    found, again = list(ARITHMETIC.products(left, right)), ARITHMETIC.products(left.transposed.transposed, right)
    scale = SCALE**2 / PARAMETERS.primes[level - 1]
    for index, (one, other) in enumerate(zip(found, again, strict=True)):
        i, k = divmod(index, columns)
        wanted = sum(xs[i][j][0] * ys[j][k] for j in range(terms))
        assert one.shape == (2, level - 1, PLAN.degree)
        assert np.abs(decrypted(one, scale) - wanted).max() < 1e-3
        assert np.array_equal(one, other)


def test_a_transposed_matrix_has_its_columns_as_rows():
    generator = np.random.default_rng(3)
    xs, y = [pairs(generator, real=True) for _ in range(6)], pairs(generator)
    left, right = held([encrypted(x) for x in xs], 3), [[encrypted(y)]]
    scale = SCALE**2 / PARAMETERS.primes[LEVELS - 1]
    for column in range(3):
        for row, found in enumerate(ARITHMETIC.products(left.taken(np.array([column])), right)):
            assert np.abs(decrypted(found, scale) - xs[3 * row + column][0] * y).max() < 1e-3
    for column, found in enumerate(ARITHMETIC.products(left.transposed, right * 2)):
        assert np.abs(decrypted(found, scale) - (xs[column][0] + xs[3 + column][0]) * y).max() < 1e-3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, LEVELS))
def test_sums_of_products(seed, terms, level):
    generator = np.random.default_rng(seed)
    xs, ys = [pairs(generator, real=True) for _ in range(terms)], [pairs(generator) for _ in range(terms)]
    left, right = ([ARITHMETIC.lowered(encrypted(one), level) for one in ones] for ones in (xs, ys))
    wanted = sum(x[0] * y for x, y in zip(xs, ys, strict=True))
    assert np.abs(decrypted(ARITHMETIC.dot(left, right), SCALE**2 / PARAMETERS.primes[level - 1]) - wanted).max() < 1e-3


def test_columns_of_matrices_of_several_levels_stand_beside_each_other():
    generator = np.random.default_rng(0)
    xs, y = [pairs(generator, real=True) for _ in range(3)], pairs(generator)
    high, low = held([encrypted(x) for x in xs[:2]], 2), held([ARITHMETIC.lowered(encrypted(xs[2]), 2)], 1)
    whole = Matrix.beside([high, low])
    (found,) = ARITHMETIC.products(whole, [[ARITHMETIC.lowered(encrypted(y), 2)]] * 3)
    assert whole.addresses.shape == (1, 3, 2, 2)
    assert np.abs(decrypted(found, SCALE**2 / PARAMETERS.primes[1]) - sum(x[0] for x in xs) * y).max() < 1e-3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, LEVELS))
def test_pairs_are_taken_apart_by_their_conjugates(seed, level):
    """And the square of the second half is that of a number with i: single again, and negative."""
    of = made_network.plan()
    secret, evaluation = made_network.keys(of)
    arithmetic, cipher = Arithmetic(of, evaluation, 1), PairCipher(secret)
    slots = np.random.default_rng(seed).uniform(-1, 1, (2, of.block_samples))
    form = Form(of.parameters.data_primes, of.degree, True, SCALE, seeded=True)
    (made,) = cipher.encrypt(slots[:1] + 1j * slots[1:], form)
    value = arithmetic.lowered(read(made, form), level)

    def opened(ciphertext, scale=SCALE):
        result = Form.result(of.parameters, ciphertext.shape[1], scale)
        return cipher.decrypt(written(ciphertext, result), result)

    first, second = arithmetic.halves(value)
    assert np.abs(opened(arithmetic.conjugated(value)) - slots * [[1], [-1]]).max() < 1e-5
    assert np.abs(opened(first) - slots * [[2], [0]]).max() < 1e-5
    assert np.abs(opened(second) - slots * [[0], [2]]).max() < 1e-5
    single, other = opened(arithmetic.dot([second], [second]), SCALE**2 / of.parameters.primes[level - 1])
    assert np.abs(single + 4 * slots[1] ** 2).max() < 1e-3
    assert np.abs(other).max() < 1e-3


@pytest.mark.parametrize(("level", "count"), [(1, 1), (2, 5), (1, SLOTS + 1)])
def test_totals_of_both_numbers_are_packed_and_expanded_to_every_slot(level, count):
    """More of them than one ciphertext holds, too."""
    given_ = [pairs(np.random.default_rng(seed)) for seed in range(min(count, 3))]
    ciphertexts = [ARITHMETIC.lowered(encrypted(one), level) for one in given_]
    packed = ARITHMETIC.totals((ciphertexts[i % len(given_)] for i in range(count)), count)
    wanted = np.array([given_[i % len(given_)].sum(axis=1) for i in range(count)])
    assert np.abs(unpacked(packed, count, SCALE) - wanted).max() < 1e-2
    expanded = ARITHMETIC.expanded(packed, count)
    assert len(expanded) == count
    for i in {0, count // 2, count - 1}:
        assert np.abs(decrypted(expanded[i], SCALE) - wanted[i][:, None]).max() < 1e-2


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**36), 2**36), min_size=1, max_size=3).filter(any))
def test_combinations_are_multiples_summed_and_divided(seed, factors):
    generator = np.random.default_rng(seed)
    given_ = [pairs(generator) for _ in factors]
    found = ARITHMETIC.rescale(ARITHMETIC.combination([encrypted(one) for one in given_], factors))
    wanted = sum(factor * one for factor, one in zip(factors, given_, strict=True)) / 2**36
    assert found.shape == (2, LEVELS - 1, PLAN.degree)
    assert np.abs(decrypted(found, SCALE * 2.0**36 / PARAMETERS.primes[LEVELS - 1]) - wanted).max() < 1e-4


def test_a_constant_is_added_in_all_slots():
    one = pairs(np.random.default_rng(0))
    found = ARITHMETIC.combination([encrypted(one)], [3], -0.25 * SCALE)
    assert np.abs(decrypted(found, SCALE) - 3 * one + [[0.25], [0]]).max() < 1e-6


def test_sums_are_sums():
    one, other = (pairs(np.random.default_rng(seed)) for seed in (0, 1))
    found = ARITHMETIC.combination([encrypted(one), encrypted(other)], [1, -1])
    assert np.abs(decrypted(found, SCALE) - one + other).max() < 1e-6


def test_threads_return_results_in_order_and_their_errors():
    with Arithmetic(PLAN, keys(PLAN)[1], 3) as several:
        assert several.each(lambda x: x * x, range(20)) == [x * x for x in range(20)]
        some = [np.zeros((2, LEVELS, PLAN.degree), np.uint64)] * 300  # operations that share their work among threads
        assert len(several.each(lambda x: several.dot([x], [x]), some)) == 300
        with pytest.raises(ZeroDivisionError):
            several.each(lambda x: 1 // x, [1, 0, 2])
