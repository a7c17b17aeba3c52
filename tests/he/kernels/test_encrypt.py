"""Errors and masks of encryption: those of plain integers, bit for bit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from he.kernels import reference
from he.kernels.passes import encrypt, evaluate
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes
from he.ring.words import Words

N = 64
FALSE_ALARM = 1e-6  # the chance that a test of random numbers would fail, were its seed not fixed


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(0, 58))
def test_numbers_are_rounded_at_random_and_errors_are_counts_of_bits(seed, vectors, bits):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**64, 8 * vectors, np.uint64)
    words[:4] = 2**21 - 1, (2**21 - 1) << 21, 2**64 - 1, 0
    x = rng.uniform(-(2.0**bits), 2.0**bits, len(words))
    x[4:7] = 2.0**bits, -(2.0**bits), -0.5
    out = np.empty(len(words), np.int64)
    encrypt.noisy(words, x, out)
    for word, number, found in zip(words.tolist(), x.tolist(), out.tolist(), strict=True):
        error = (word & 2**21 - 1).bit_count() - (word >> 21 & 2**21 - 1).bit_count()
        assert found == math.floor(number + (word >> 42) / 2**22) + error


def test_errors_have_the_law_of_seals():
    errors = np.empty(1 << 16, np.int64)
    encrypt.noisy(Words(bytes(32)).words(len(errors)), np.zeros(len(errors)), errors)
    values, law = np.arange(-21, 22), stats.binom(42, 0.5)
    counts = np.array([(errors == x).sum() for x in values])
    due = law.pmf(values + 21) * len(errors)
    likely = due > 8
    found = np.append(counts[likely], counts[~likely].sum())
    assert stats.chisquare(found, np.append(due[likely], due[~likely].sum())).pvalue > FALSE_ALARM
    assert law.var() == pytest.approx(10.5)


def test_a_number_is_rounded_to_itself_on_average():
    x, out = np.full(1 << 16, 12345.3), np.empty(1 << 16, np.int64)
    encrypt.noisy(Words(bytes(range(32))).words(len(x)), x, out)
    assert abs(out.mean() - x[0]) < 6 * math.sqrt((10.5 + 0.21) / len(x))


@settings(max_examples=30)
@given(st.lists(st.integers(20, 50), min_size=1, max_size=3), st.integers(0, 2**32))
def test_a_message_is_hidden_by_a_multiple_of_the_secret(bits, seed):
    table, rng = chain(N, ntt_primes(tuple(bits), N)), np.random.default_rng(seed)
    moduli = np.array(table.primes, np.uint64)[:, None]
    message, secret = rng.integers(-(2**60) + 1, 2**60, (1, N)), rng.integers(-1, 2, N).tolist()
    message[0, :2] = 1 - 2**60, 2**60 - 1
    mask, out = rng.integers(0, moduli, (len(bits), N), np.uint64), np.empty((1, len(bits), N), np.uint64)
    stored = np.array([[s * 2**52 % p for s in secret] for p in table.primes], np.uint64)
    for j, row in enumerate(stored):
        evaluate.forward(table.tables, row, j)
    encrypt.encrypted(table.tables, message, stored, mask, out)
    for j, p in enumerate(table.primes):
        for row in (mask[j], out[0, j]):
            evaluate.inverse(table.tables, row, j)
        product = reference.product(mask[j].tolist(), secret)
        assert out[0, j].tolist() == [(m - x) % p for m, x in zip(message[0].tolist(), product, strict=True)]
