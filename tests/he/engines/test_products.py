"""Matrix products of ciphertexts: what SEAL decrypts, and the bits of single operations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.buffers import Buffers
from he.engines.rns.products import Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.kernels.passes import switching
from he.ring.params import Parameters
from he.ring.slots import imaginary_units
from tests.he.seal_parties import SealParties

N = 1024
PARTIES = SealParties(Parameters("ckks", N, (46, 38, 38, 46), scale_bits=34, security="insecure"))
KEYS = PARTIES.keys((), relinearisation=True)
EXACT = SealParties(Parameters("bfv", N, (40, 40, 40, 40, 40), 65537, security="insecure"))
EXACT_KEYS = EXACT.keys((), relinearisation=True)


def returned(ciphertext):
    return lambda: ciphertext


def products(left, right, threads=1, parties=PARTIES, keys=KEYS):
    """Of ciphertexts [rows][terms] and [terms][columns]."""
    with Workers(threads) as workers:
        one = Products.of(parties.encoder, keys, workers, Buffers())
        packed = one.packed([returned(ciphertext) for row in left for ciphertext in row], len(left), len(left[0]))
        return list(one.sums(packed.addresses, right))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(1, 5), st.sampled_from([2, 3]), st.integers(0, 2**32))
def test_seal_decrypts_the_sums_of_products(rows, terms, columns, level, seed):
    rng, half = np.random.default_rng(seed), N // 2
    x, (a, b) = rng.normal(size=(rows, terms, half)), rng.normal(size=(2, terms, columns, half))
    left = [[PARTIES.encrypt(slots) for slots in row] for row in x]
    right = [[PARTIES.encrypt(slots, level) for slots in row] for row in a + imaginary_units(N) * b]
    found = products(left, right, threads=2)
    assert len(found) == rows * columns
    scale = 2.0**68 / PARTIES.parameters.primes[level - 1]
    expected = np.einsum("ijs,jks->iks", x, a + imaginary_units(N) * b).reshape(-1, half)
    for result, slots in zip(found, expected, strict=True):
        assert result.shape == (2, level - 1, N)
        assert np.abs(PARTIES.decrypt(result, scale) - slots).max() < 1e-5 * terms**0.5


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 4), st.sampled_from([2, 4]), st.integers(0, 2**32))
def test_sums_of_exact_products_are_exact(rows, terms, columns, level, seed):
    rng, t = np.random.default_rng(seed), EXACT.parameters.t
    x, y = rng.integers(-t // 2, t // 2, (rows, terms, N)), rng.integers(-t // 2, t // 2, (terms, columns, N))
    left = [[dropped(EXACT.encrypt(slots), level) for slots in row] for row in x]
    right = [[dropped(EXACT.encrypt(slots), level) for slots in row] for row in y]
    found = products(left, right, 2, EXACT, EXACT_KEYS)
    expected = np.einsum("ijs,jks->iks", x, y).reshape(-1, N)
    for result, slots in zip(found, expected, strict=True):
        assert result.shape == (2, level, N)
        assert np.array_equal((EXACT.decrypt(result) - slots) % t, np.zeros(N))


def dropped(ciphertext, level):
    """A BFV ciphertext divided by its last primes."""
    while ciphertext.shape[1] > level:
        lower = np.empty((2, ciphertext.shape[1] - 1, N), np.uint64)
        switching.mod_down(EXACT.encoder.tables, ciphertext, ciphertext.shape[1] - 1, lower, 0, 2)
        ciphertext = lower
    return ciphertext


def test_an_exact_sum_is_as_long_as_the_auxiliary_primes_allow(monkeypatch):
    fresh = EXACT.encrypt(np.ones(N, np.int64))
    monkeypatch.setattr(EXACT.encoder, "auxiliary", (*EXACT.encoder.parameters.data_primes, 4 * 65537 * N * 3 + 1))
    one = Products.of(EXACT.encoder, EXACT_KEYS, Workers(1), Buffers())
    addresses = np.zeros((1, 4, 2, 9), np.int64)
    with pytest.raises(ValueError, match="`left` must have at most 3 terms at level 4, got 4; add up parts of them"):
        one.sums(addresses, [[fresh]] * 4)


def test_threads_and_blocks_change_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    left, right = (
        [[PARTIES.encrypt(rng.normal(size=N // 2)) for _ in range(2)] for _ in range(count)] for count in (5, 2)
    )
    alone = products(left, right)
    monkeypatch.setattr("he.engines.rns.products._MOST_BYTES", 1)
    for threads in (1, 3):
        for one, other in zip(alone, products(left, right, threads), strict=True):
            assert np.array_equal(one, other)


def test_a_packed_matrix_may_be_transposed():
    rng = np.random.default_rng(1)
    left, right = ([PARTIES.encrypt(rng.normal(size=N // 2)) for _ in range(count)] for count in (6, 2))
    with Workers(1) as workers:
        one = Products.of(PARTIES.encoder, KEYS, workers, Buffers())
        packed = one.packed([returned(ciphertext) for ciphertext in left], 2, 3)
        found = list(one.sums(packed.addresses.transpose(1, 0, 2, 3), [[right[0]], [right[1]]]))
    for j, entry in enumerate(found):
        (alone,) = products([[left[j], left[3 + j]]], [[right[0]], [right[1]]])
        assert np.array_equal(entry, alone)


def test_what_does_not_match_is_named():
    with pytest.raises(ValueError, match="the keys must have one of relinearisation"):
        Products.of(PARTIES.encoder, SwitchingKeys({}, {}), Workers(1), Buffers())
    fresh, low = PARTIES.encrypt(np.zeros(N // 2)), PARTIES.encrypt(np.zeros(N // 2), 1)
    one = Products.of(PARTIES.encoder, KEYS, Workers(1), Buffers())
    for count, rows in ((3, 2), (5, 2), (0, 0)):
        with pytest.raises(ValueError, match=f"`ciphertexts` must be {rows} rows of 2, at least one, got {count}"):
            one.packed([returned(fresh)] * count, rows, 2)
    for left, right in (([[fresh]], [[fresh]] * 2), ([[low]], [[fresh]]), ([[low]], [[low]]), ([[fresh]], [[]])):
        with pytest.raises(ValueError, match="`left` must have as many terms as `right`"):
            products(left, right)
