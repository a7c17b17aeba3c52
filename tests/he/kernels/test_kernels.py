"""Sums, products and words of residues: the integers of the reference, bit for bit."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import SPARE, Factors, word_bytes
from he.kernels.tables.roots import factors as with_quotients
from he.kernels.tables.roots import least_root
from tests.he.kernels.residues import chains, equals, polynomial, primes_of, residues


@given(chains())
def test_products_sums_and_multiples(case):
    table, rng = case
    N, primes = table.N, table.primes
    q = prod(primes)
    a, b, c, d = (polynomial(rng, N, q) for _ in range(4))
    x, y = (np.array([residues(table, p, primes) for p in pair]) for pair in ((a, b), (c, d)))
    out = np.empty((3, len(primes), N), np.uint64)
    evaluate.multiply(table.tables, x, y, 0, out)
    middle = [u + v for u, v in zip(reference.product(a, d), reference.product(b, c), strict=True)]
    for rows, expected in zip(out, (reference.product(a, c), middle, reference.product(b, d)), strict=True):
        assert equals(table, rows, expected, primes)
    evaluate.add_rows(table.tables, x, y, len(primes) - 1, x)
    assert equals(table, x[1], [u + v for u, v in zip(b, d, strict=True)], primes)


@given(chains(), st.integers(1, evaluate.MAX_ADDED))
def test_sums_of_many(case, count):
    table, rng = case
    primes = np.array(table.primes, np.uint64)[:, None]
    x = rng.integers(0, primes, (count, 2, len(primes), table.N), dtype=np.uint64)
    x[..., 0] = (primes - np.uint64(1))[:, 0]
    out = np.empty(x[0].shape, np.uint64)
    evaluate.sum_rows(table.tables, np.array([a.ctypes.data for a in x]), np.arange(len(primes)), out)
    assert np.array_equal(out, x.sum(axis=0, dtype=np.uint64) % primes)


@given(chains(), st.integers(1, 40))
def test_inner_products_with_plaintexts_and_scalars(case, terms):
    table, rng = case
    N, primes = table.N, table.primes
    q = prod(primes)
    ciphertexts = [np.array([residues(table, polynomial(rng, N, q), primes) for _ in range(2)]) for _ in range(terms)]
    plaintexts = [residues(table, polynomial(rng, N, q), primes) for _ in range(terms)]
    stored = [np.array([[int(v) * 2**52 % p for v in row] for row, p in zip(rows, primes, strict=True)], np.uint64)
              for rows in plaintexts]  # fmt: skip
    addresses, factors = (
        np.array([array.ctypes.data for array in ciphertexts]),
        Factors.packed(np.array(stored), primes),
    )
    out = np.empty((2, len(primes), N), np.uint64)
    evaluate.plain_products(table.tables, addresses, factors.addresses, np.arange(len(primes)), out)
    moduli = np.array(primes, object)[:, None]
    total = sum(c.astype(object) * p.astype(object) for c, p in zip(ciphertexts, plaintexts, strict=True))
    assert np.array_equal(out.astype(object), total % moduli)

    scalars = [[int(rng.integers(0, p)) for _ in range(terms)] for p in primes]
    weights = np.array([with_quotients(row, [p] * len(row)) for row, p in zip(scalars, primes, strict=True)])
    evaluate.scalar_products(table.tables, addresses, weights, out)
    total = sum(
        c.astype(object) * np.array([row[i] for row in scalars], object)[:, None] for i, c in enumerate(ciphertexts)
    )
    assert np.array_equal(out.astype(object), total % moduli)


@given(chains(), st.integers(1, 60), st.integers(1, 9))
def test_matrix_products_are_sums_of_multiples(case, terms, rows):
    table, rng = case
    N, primes = table.N, table.primes
    ciphertexts = [np.array([residues(table, polynomial(rng, N, prod(primes)), primes) for _ in range(2)])
                   for _ in range(terms)]  # fmt: skip
    matrix = rng.integers(0, 2**50, (rows, terms)).astype(object)
    blocks = -(-rows // 4)
    weights = np.zeros((len(primes), blocks, terms, 4), np.uint64)
    for (j, p), row, term in product(enumerate(primes), range(rows), range(terms)):
        weights[j, row // 4, term, row % 4] = matrix[row, term] * 2**52 % p
    out = np.empty((4 * blocks, 2, len(primes), N), np.uint64)
    addresses = np.array([array.ctypes.data for array in ciphertexts])
    for component, prime in product(range(2), range(len(primes))):
        evaluate.matrix_products(table.tables, addresses, weights, component, prime, out)
    moduli = np.array(primes, object)[:, None]
    for row in range(rows):
        total = sum(c.astype(object) * w for c, w in zip(ciphertexts, matrix[row], strict=True))
        assert np.array_equal(out[row].astype(object), total % moduli)
    assert not out[rows:].any()


@given(chains())
def test_squares_of_parts_are_those_of_polynomials(case):
    """(x + y)^2 - X^(N/2) (x - y)^2."""
    table, rng = case
    N, primes = table.N, table.primes
    q = prod(primes)
    x, y = ([polynomial(rng, N, q) for _ in range(2)] for _ in range(2))
    pair = [np.array([residues(table, c, primes) for c in ciphertext]) for ciphertext in (x, y)]
    units = [pow(least_root(N, p), N // 2, p) for p in primes]
    halves = np.array([with_quotients((-i, i), (p, p)) for i, p in zip(units, primes, strict=True)])
    out = np.empty((3, len(primes), N), np.uint64)
    for prime in range(len(primes)):
        evaluate.square_parts(table.tables, *pair, halves, prime, out)
    unit = [0] * N
    unit[N // 2] = 1

    def squared(c):
        a, b = c
        cross = reference.product(a, b)
        return reference.product(a, a), [2 * v for v in cross], reference.product(b, b)

    sums = squared([[u + v for u, v in zip(*c, strict=True)] for c in zip(x, y, strict=True)])
    differences = squared([[u - v for u, v in zip(*c, strict=True)] for c in zip(x, y, strict=True)])
    for component, total, difference in zip(out, sums, differences, strict=True):
        multiplied = reference.product(unit, difference)
        assert equals(table, component, [u - v for u, v in zip(total, multiplied, strict=True)], primes)


@given(chains())
def test_constants_are_added_to_both_halves_of_rows(case):
    table, rng = case
    N, primes = table.N, table.primes
    x, (a, b) = polynomial(rng, N, prod(primes)), (int(rng.integers(2**40)) for _ in range(2))
    rows = residues(table, x, primes)
    units = [pow(least_root(N, p), N // 2, p) for p in primes]
    added = np.array([[(a + s * b * i) % p for s in (1, -1)] for i, p in zip(units, primes, strict=True)], np.uint64)
    evaluate.add_constants(table.tables, rows, added)
    x[0] += a
    x[N // 2] += b
    assert equals(table, rows, x, primes)


def test_as_many_of_the_largest_products_as_are_added_before_reduction():
    N, primes = 64, primes_of(64, [50, 50])
    table, terms = chain(N, primes), evaluate.MAX_TERMS
    largest = np.array([[p - 1] * N for p in primes], np.uint64)
    addresses, factors = np.full(terms, largest.ctypes.data), Factors.packed(np.array([largest] * terms), primes)
    out = np.empty((1, 2, N), np.uint64)
    evaluate.plain_products(table.tables, addresses, factors.addresses, np.arange(2), out)
    for row, p in zip(out[0], primes, strict=True):
        assert set(row.tolist()) == {terms * (p - 1) ** 2 * pow(2, -52, p) % p}


@pytest.mark.parametrize("prime", [12289, 65537, (1 << 46) - 1, 1 << 46, (1 << 50) - 1])
def test_a_row_is_as_wide_as_the_kernels_read_it(prime):
    assert Factors.size(64, [prime]) == 64 * word_bytes(prime) + SPARE


@given(st.lists(st.integers(1, 50), min_size=1, max_size=3), st.integers(0, 2**32))
def test_packed_words_lie_side_by_side(bits, seed):
    rng, moduli = np.random.default_rng(seed), [2**b - 1 for b in bits]
    rows = rng.integers(0, np.array(moduli, np.uint64)[:, None], (2, len(bits), 64), np.uint64, endpoint=True)
    expected = b""
    for rows_of_one in rows.tolist():
        for row, p in zip(rows_of_one, moduli, strict=True):
            expected += b"".join(word.to_bytes(word_bytes(p), "little") for word in row) + bytes(SPARE)
    packed = Factors.packed(rows, moduli)
    assert packed.memory.tobytes() == expected
    assert packed.addresses[1, 0] - packed.addresses[0, 0] == Factors.size(64, moduli)
