"""Kernels on residues: the integers of the reference, bit for bit."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.threads import Workers
from he.kernels import reference
from he.kernels.instructions.butterflies import BIAS, LARGEST, LOOSE_BITS
from he.kernels.passes import evaluate, switching
from he.kernels.passes.extension import extend_rows
from he.kernels.passes.product import auxiliary_primes, scaled_product, scaling
from he.kernels.passes.transform import lift_forward
from he.kernels.tables.chain import chain
from he.kernels.tables.extension import extension
from he.kernels.tables.factors import SPARE, Factors, word_bytes
from he.kernels.tables.roots import factors as with_quotients
from he.kernels.tables.roots import least_root, roots
from he.ring.primes import ntt_primes
from he.ring.slots import automorphism, bit_reversal, permutation

SIZES = st.sampled_from([64, 128])
BITS = st.lists(st.integers(20, 50), min_size=2, max_size=5)


def primes_of(N, bits):
    return ntt_primes(tuple(bits), N)


@st.composite
def chains(draw):
    N, bits = draw(SIZES), draw(BITS)
    primes = primes_of(N, bits)
    return chain(N, primes), np.random.default_rng(draw(st.integers(0, 2**32)))


def polynomial(rng, N, modulus):
    return [int.from_bytes(rng.bytes(40), "little") % modulus for _ in range(N)]


def residues(table, x, primes, first=0):
    rows = np.array([[int(a) % p for a in x] for p in primes], np.uint64)
    for j, row in enumerate(rows):
        evaluate.forward(table.tables, row, first + j)
    return rows


def coefficients(table, rows, first=0):
    rows = rows.copy()
    for j, row in enumerate(rows):
        evaluate.inverse(table.tables, row, first + j)
    return rows


def equals(table, rows, x, primes):
    expected = np.array([[a % p for a in x] for p in primes], np.uint64)
    return np.array_equal(coefficients(table, rows), expected)


@settings(max_examples=60)
@given(st.sampled_from([64, 128, 256, 512]), st.integers(20, 50), st.integers(0, 2**32))
def test_transforms_are_values_at_odd_powers_of_the_root(N, bits, seed):
    try:
        (prime,) = primes_of(N, [bits])
    except ValueError:
        return
    table, rng = chain(N, (prime,)), np.random.default_rng(seed)
    x = rng.integers(0, prime, N, dtype=np.uint64)
    x[:2] = 0, prime - 1
    y = x.copy()
    evaluate.forward(table.tables, y, 0)
    assert y.tolist() == reference.forward(x.tolist(), prime)
    evaluate.inverse(table.tables, y, 0)
    assert np.array_equal(y, x)
    assert reference.inverse(reference.forward(x.tolist(), prime), prime) == x.tolist()


@pytest.mark.parametrize("bits", [46, 50])
@pytest.mark.parametrize("N", [2048, 4096, 8192, 16384, 32768, 65536])
def test_large_transforms_have_single_values_right_and_invert(N, bits):
    (prime,) = primes_of(N, [bits])
    table, rng = chain(N, (prime,)), np.random.default_rng(N)
    x = rng.integers(0, prime, N, dtype=np.uint64)
    x[: N // 2] = prime - 1
    y = x.copy()
    evaluate.forward(table.tables, y, 0)
    psi, order = int(roots(N, prime).forward[bit_reversal(N)[1]]), bit_reversal(N)
    for i in (0, 1, N // 2 + 3, N - 1):
        root, total = pow(psi, 2 * order[i] + 1, prime), 0
        for a in reversed(x.tolist()):
            total = (total * root + a) % prime
        assert int(y[i]) == total
    evaluate.inverse(table.tables, y, 0)
    assert np.array_equal(y, x)


@pytest.mark.parametrize("N", [1024, 65536])
def test_loose_residues_stay_below_what_is_read_of_them(N):
    """The worst is that all stages add: what enters is as large as it may be, and so are all products."""
    (prime,) = primes_of(N, [LOOSE_BITS])
    stages = N.bit_length() - 1
    assert stages <= BIAS  # differences stay positive
    assert BIAS + 3 + stages <= LARGEST
    assert (LARGEST + 1) * prime < 2**52  # the difference of `mod_down_row`
    assert switching.MAX_LOOSE * LARGEST * prime**2 // 2**52 + prime < 8 * prime  # what `reduced` brings down
    table, rng = chain(N, (prime,)).tables, np.random.default_rng(N)
    x, y, finished = rng.integers(0, 2**52, (3, N), np.uint64)
    one = int(table.constants[0]["one"])
    for out, is_finished in ((y, False), (finished, True)):
        lift_forward(x, one, prime - 1, table.forward[0], table.forward_quotients[0], prime, out, is_finished)
    y &= np.uint64(2**52 - 1)
    assert y.max() < LARGEST * prime
    assert np.array_equal(y % np.uint64(prime), finished)


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


@given(chains())
def test_extension_to_other_primes_keeps_the_centred_value(case):
    table, rng = case
    primes = table.primes
    others = auxiliary_primes(table.N, primes, 65537)
    both, q = chain(table.N, (*primes, *others)), prod(primes)
    x = polynomial(rng, table.N, q)
    # Within 2**-40 of one half either neighbour is right: the floats cannot tell; random values are never that close.
    x[:4] = 0, 1, q - 1, q // 3
    rows = np.array([[a % p for a in x] for p in primes], np.uint64)
    out = np.empty((len(others), table.N), np.uint64)
    extend_rows(both.tables, extension(primes, others), rows, 0, len(primes), np.empty(table.N, np.int64), out)
    assert out.tolist() == [[reference.centred(a, q) % p for a in x] for p in others]


@pytest.mark.parametrize(("bits", "chosen"), [([45] * 8, 46), ([50] * 8, 50), ([50], 46), ([30, 50], 46)])
def test_auxiliary_primes_are_as_small_as_every_level_allows(bits, chosen):
    N, t = 16384, 65537
    primes = (*primes_of(N, bits), 0)
    others = auxiliary_primes(N, primes, t)
    assert {p.bit_length() for p in others} == {chosen}
    assert not set(others) & set(primes)
    assert len(others) == len(primes)
    for level in range(1, len(bits) + 1):
        assert prod(others[: level + 1]) >= 4 * t * N * prod(primes[:level])


@pytest.mark.parametrize("t", [17179672577, 281474976317441])
def test_a_wide_plaintext_modulus_has_one_auxiliary_prime_more(t):
    N, bits = 16384, [50] * 8
    primes = (*primes_of(N, bits), 0)
    others = auxiliary_primes(N, primes, t)
    spare = len(others) - len(primes)
    assert spare == (t.bit_length() > 34)
    for level in range(1, len(bits) + 1):
        assert prod(others[: level + 1 + spare]) >= 4 * t * N * prod(primes[:level])


@settings(max_examples=25)
@given(SIZES, st.lists(st.integers(30, 50), min_size=1, max_size=3), st.booleans(), st.integers(0, 2**32))
def test_the_bfv_product_is_the_tensor_product_scaled_and_rounded(N, bits, is_square, seed):
    t, rng = 65537, np.random.default_rng(seed)
    data = primes_of(N, bits)
    others = auxiliary_primes(N, (*data, 0), t)
    table, q = chain(N, (*data, *others)), prod(data)
    a, b = polynomial(rng, N, q), polynomial(rng, N, q)
    c, d = (a, b) if is_square else (polynomial(rng, N, q), polynomial(rng, N, q))
    x, y = (np.array([residues(table, p, data) for p in pair]) for pair in ((a, b), (c, d)))
    constants, out = scaling(data, others, t), np.empty((3, len(data), N), np.uint64)
    workers = Workers(1)
    scaled_product(table.tables, constants, x, x if is_square else y, len(data), out, workers.all)
    for rows, (u, v) in ((out[0], (a, c)), (out[2], (b, d))):
        assert equals(table, rows, reference.scaled_product(u, v, t, data), data)


@pytest.mark.parametrize("bits", [20, 30, 46, 50])
def test_tables_are_those_of_plain_integers(bits):
    N = 64
    (prime,) = primes_of(N, [bits])
    table, psi, order = roots(N, prime), reference.least_root(N, prime), bit_reversal(N)
    assert least_root(N, prime) == psi
    for root, values, quotients in (
        (psi, table.forward, table.forward_quotients),
        (pow(psi, -1, prime), table.inverse, table.inverse_quotients),
    ):
        expected = [pow(root, i, prime) for i in order]
        assert values.tolist() == expected
        assert quotients.tolist() == [(w << 52) // prime for w in expected]


@pytest.mark.parametrize("prime", [12289, 65537, (1 << 46) - 1, 1 << 46, (1 << 50) - 1])
def test_a_row_is_as_wide_as_the_kernels_read_it(prime):
    assert Factors.size(64, [prime]) == 64 * word_bytes(prime) + SPARE


@given(st.lists(st.integers(1, 50), min_size=1, max_size=3), st.integers(0, 2**32))
def test_packed_words_lie_side_by_side(bits, seed):
    rng, moduli = np.random.default_rng(seed), [2**b - 1 for b in bits]
    rows = rng.integers(0, np.array(moduli, np.uint64)[:, None], (2, len(bits), 64), np.uint64, endpoint=True)
    expected = b""
    for polynomial in rows.tolist():
        for row, p in zip(polynomial, moduli, strict=True):
            expected += b"".join(word.to_bytes(word_bytes(p), "little") for word in row) + bytes(SPARE)
    packed = Factors.packed(rows, moduli)
    assert packed.memory.tobytes() == expected
    assert packed.addresses[1, 0] - packed.addresses[0, 0] == Factors.size(64, moduli)


@pytest.mark.parametrize(("N", "prime"), [(1024, (1 << 51) - 1), (1024, 12289)])
def test_primes_that_do_not_fit_are_refused(N, prime):
    if prime % (2 * N) == 1 and prime < 1 << 50:
        assert roots(N, prime).prime == prime
    else:
        with pytest.raises(ValueError, match="`prime` must be below"):
            roots(N, prime)
