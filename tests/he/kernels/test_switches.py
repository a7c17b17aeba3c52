"""Key switches and rotations: the integers of the reference, bit for bit."""

from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import switching
from he.kernels.tables.factors import Factors
from he.ring.slots import automorphism, permutation
from tests.he.kernels.residues import SIZES, chains, coefficients, equals, polynomial, primes_of, residues


@given(chains())
def test_division_by_the_last_prime_rounds(case):
    table, rng = case
    N, primes = table.N, table.primes
    x = polynomial(rng, N, prod(primes))
    x[0] = 0
    out = np.empty((1, len(primes) - 1, N), np.uint64)
    switching.mod_down(table.tables, residues(table, x, primes)[None], len(primes) - 1, out, 0, 1)
    assert equals(table, out[0], reference.divided(x, primes[-1]), primes[:-1])


@settings(max_examples=30)
@given(chains())
def test_a_key_switch_is_the_inner_product_of_centred_digits_and_the_key_divided(case):
    table, rng = case
    N, primes = table.N, table.primes
    level, special = len(primes) - 1, primes[-1]
    data, q = primes[:-1], prod(primes[:-1])
    x = polynomial(rng, N, q)
    rows, special_row = residues(table, x, data), level
    centred, digits = np.empty((level, N), np.uint64), np.empty((level + 1, level, N), np.uint64)
    switching.to_centred(table.tables, rows, centred, 0, level)
    switching.decompose(table.tables, rows, centred, special_row, True, digits, 0, level + 1)
    expected = [[reference.centred(a % p, p) for a in x] for p in data]
    for digit, values in zip(digits.transpose(1, 0, 2), expected, strict=True):
        assert equals(table, digit, values, primes)
    key = [[polynomial(rng, N, q * special) for _ in range(2)] for _ in range(level)]
    stored = np.array([[residues(table, p, primes) for p in pair] for pair in key])
    stored = (stored.astype(object) * 2**52 % np.array(primes, object)[:, None]).astype(np.uint64)
    factors, sums = Factors.packed(stored, primes), np.empty((2, level + 1, N), np.uint64)
    for first, stop in ((0, 1), (1, level + 1)):
        switching.switch(table.tables, rows, centred, factors.addresses, special_row, sums, first, stop)
    other, lists = np.empty_like(sums), np.empty((3, level), np.int64)
    for j in range(level + 1):
        switching.list_addresses(digits[j], factors.addresses, j, lists)
        switching.key_products(table.tables, lists, j, *other[:, j])
    assert np.array_equal(sums, other)  # of loose digits and of finished ones
    out = np.empty((2, level, N), np.uint64)
    switching.mod_down(table.tables, sums, special_row, out, 0, 2)
    for c in range(2):
        assert equals(table, out[c], reference.switched(expected, [pair[c] for pair in key], q, special), data)


@settings(max_examples=30)
@given(chains(), st.integers(0, 127))
def test_a_rotation_is_a_key_switch_and_an_addition_turned(case, half):
    table, rng = case
    N, primes = table.N, table.primes
    level, special, element = len(primes) - 1, primes[-1], 2 * half + 1
    q = prod(primes[:-1])
    added, x = (polynomial(rng, N, q) for _ in range(2))
    pair = np.array([residues(table, p, primes[:-1]) for p in (added, x)])
    key = rng.integers(0, np.array(primes)[:, None], (level, 2, level + 1, N)).astype(np.uint64)
    factors, centred = Factors.packed(key, primes), np.empty((level, N), np.uint64)
    switching.to_centred(table.tables, pair[1], centred, 0, level)
    switched, result, other = np.empty((3, 2, level + 1, N), np.uint64)
    order, digits = permutation(N, element), np.empty((level + 1, level, N), np.uint64)
    switching.switch(table.tables, pair[1], centred, factors.addresses, level, switched, 0, level + 1)
    for first, stop in ((0, 1), (1, level + 1)):
        switching.rotate(table.tables, pair, centred, factors.addresses, level, order, result, first, stop)
    switching.decompose(table.tables, pair[1], centred, level, True, digits, 0, level + 1)
    switching.rotate_digits(table.tables, pair, digits, factors.addresses, level, order, other)
    assert np.array_equal(result, other)
    first, second = (coefficients(table, rows) for rows in switched)
    total = [a + special * b for a, b in zip(composed(first, primes), added, strict=True)]
    assert equals(table, result[0], reference.automorphism(total, element), primes)
    assert equals(table, result[1], reference.automorphism(composed(second, primes), element), primes)


def composed(rows, primes):
    """The integers modulo all primes with these residues."""
    q = prod(primes)
    hats = [q // p * pow(q // p, -1, p) for p in primes]
    return [sum(int(r) * hat for r, hat in zip(column, hats, strict=True)) % q for column in rows.T]


@given(SIZES, st.integers(0, 127))
def test_turning_is_the_automorphism_by_vectors(N, half):
    element = (2 * half + 1) % (2 * N)
    (places, orders), x = permutation(N, element), np.arange(N)
    permuted = np.empty(N, np.int64)
    for source, place in zip(x.reshape(-1, 8), places, strict=True):
        permuted[place // 64 * 8 :][:8] = source[orders[place % 64]]
    assert np.array_equal(permuted, automorphism(N, element))
    # ... which lists where the values of a(X**element) lie among those of a.
    prime = primes_of(N, [30])[0]
    a = polynomial(np.random.default_rng(half), N, prime)
    assert (
        reference.forward(reference.automorphism(a, element), prime)
        == np.array(reference.forward(a, prime))[permuted].tolist()
    )
