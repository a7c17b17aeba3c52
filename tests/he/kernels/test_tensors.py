"""Sums of products of ciphertexts: those of polynomials over the integers, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import evaluate, tensors
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.ring.primes import ntt_primes

N = 64


def products(table, left, right):
    """The kernel's sums of products of residues uint64 [rows, terms, 2, level, N] and [terms, columns, 2, level, N]."""
    rows, columns, level = left.shape[0], right.shape[1], left.shape[3]
    stored = left.astype(object) * 2**52 % np.array(table.primes, object)[:, None]
    packed = Factors.packed(stored.astype(np.uint64), table.primes)
    addresses = np.array([[ciphertext.ctypes.data for ciphertext in row] for row in right])
    out = np.empty((rows, columns, 3, level, table.N), np.uint64)
    panel = np.empty(tensors.panel_shape(columns), np.uint64)
    for j in range(level):
        tensors.tensor_products(table.tables, packed.addresses, addresses, j, j, panel, out)
    return out


def single_sums(table, left, right):
    """The same by the kernel of a single sum, for each row and column."""
    stored = left.astype(object) * 2**52 % np.array(table.primes, object)[:, None]
    packed = Factors.packed(stored.astype(np.uint64), table.primes)
    out = np.empty((left.shape[0], right.shape[1], 3, left.shape[3], table.N), np.uint64)
    for i, k in np.ndindex(*out.shape[:2]):
        addresses = np.array([ciphertext.ctypes.data for ciphertext in right[:, k]])
        for j in range(left.shape[3]):
            tensors.tensor_sum(
                table.tables, packed.addresses[i], addresses, j, j, *tensors.tile(len(addresses)), out[i, k]
            )
    return out


def expected(left, right, primes):
    """The same by Python's integers."""
    x, y, moduli = left.astype(object)[:, :, None], right.astype(object), np.array(primes, object)[:, None]
    parts = (
        x[:, :, :, 0] * y[:, :, 0],
        x[:, :, :, 0] * y[:, :, 1] + x[:, :, :, 1] * y[:, :, 0],
        x[:, :, :, 1] * y[:, :, 1],
    )
    return np.stack([part.sum(axis=1) % moduli for part in parts], axis=2)


@settings(max_examples=40)
@given(
    st.lists(st.integers(20, 50), min_size=1, max_size=3),
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 7), st.integers(0, 2**32),
)  # fmt: skip
def test_entries_are_sums_of_products(bits, rows, terms, columns, seed):
    table, rng = chain(N, ntt_primes(tuple(bits), N)), np.random.default_rng(seed)
    moduli = np.array(table.primes, np.uint64)[:, None]
    left = rng.integers(0, moduli, (rows, terms, 2, len(bits), N), np.uint64)
    right = rng.integers(0, moduli, (terms, columns, 2, len(bits), N), np.uint64)
    sums = expected(left, right, table.primes)
    assert np.array_equal(products(table, left, right), sums)
    assert np.array_equal(single_sums(table, left[:1], right[:, :1]), sums[:1, :1])


@pytest.mark.parametrize("bits", [20, 46, 50])
@pytest.mark.parametrize("terms", [14, 15, 28, 29, tensors.AT_ONCE, 2 * tensors.AT_ONCE])
def test_as_many_of_the_largest_products_as_are_added_at_once(bits, terms):
    table = chain(N, ntt_primes((bits,), N))
    largest = np.full((1, terms, 2, 1, N), table.primes[0] - 1, np.uint64)
    right = largest.reshape(terms, 1, 2, 1, N)
    largest[0, :, 1, 0, ::2] = 0  # c0 + c1 is p - 1 there, and -2 elsewhere
    sums = expected(largest, right, table.primes)
    assert np.array_equal(products(table, largest, right), sums)
    assert np.array_equal(single_sums(table, largest, right), sums)


def test_a_product_is_that_of_polynomials():
    table, rng = chain(N, ntt_primes((30, 46), N)), np.random.default_rng(0)
    q = table.primes[0] * table.primes[1]
    a, b, c, d = ([int(x) for x in rng.integers(0, q // 2**14, N)] for _ in range(4))

    def transformed(x):
        rows = np.array([[v % p for v in x] for p in table.primes], np.uint64)
        for j, row in enumerate(rows):
            evaluate.forward(table.tables, row, j)
        return rows

    left, right = (np.array([transformed(x) for x in pair])[None, None] for pair in ((a, b), (c, d)))
    out = products(table, left, right)[0, 0]
    middle = [u + v for u, v in zip(reference.product(a, d), reference.product(b, c), strict=True)]
    for found, polynomial in zip(out, (reference.product(a, c), middle, reference.product(b, d)), strict=True):
        assert np.array_equal(found, transformed(polynomial))


@pytest.mark.parametrize("size", [512, 1024])
def test_pieces_of_long_rows_lie_side_by_side(size):
    table, rng = chain(size, ntt_primes((38, 46), size)), np.random.default_rng(size)
    moduli = np.array(table.primes, np.uint64)[:, None]
    left = rng.integers(0, moduli, (2, 3, 2, 2, size), np.uint64)
    right = rng.integers(0, moduli, (3, 2, 2, 2, size), np.uint64)
    sums = expected(left, right, table.primes)
    assert np.array_equal(products(table, left, right), sums)
    assert np.array_equal(single_sums(table, left, right), sums)
