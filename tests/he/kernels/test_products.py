"""Products in BFV and their auxiliary primes: the integers of the reference, bit for bit."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.threads import Workers
from he.kernels import reference
from he.kernels.passes.extension import extend_rows
from he.kernels.passes.product import auxiliary_primes, scaled_product, scaling
from he.kernels.tables.chain import chain
from he.kernels.tables.extension import extension
from tests.he.kernels.residues import SIZES, chains, equals, polynomial, primes_of, residues


def test_extensions_of_longer_sums_than_kernels_reduce_are_refused():
    primes = primes_of(64, [40] * 29)
    assert extension(primes[:27], primes[28:]).factors.shape == (1, 27)
    with pytest.raises(ValueError, match="at most 27 primes, got 28; take fewer primes"):
        extension(primes[:28], primes[28:])


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
