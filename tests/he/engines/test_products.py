"""Matrix products of ciphertexts: what SEAL decrypts, and the bits of single operations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.buffers import Buffers
from he.engines.rns.products import Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.ring.slots import imaginary_units
from tests.he.seal_parties import SealParties

N = 1024
PARTIES = SealParties(N, (46, 38, 38, 46), 34)
KEYS = PARTIES.keys((), relinearisation=True)


def products(left, right, threads=1):
    """Of ciphertexts [rows][terms] and [terms][columns]."""
    with Workers(threads) as workers:
        one = Products(PARTIES.encoder, KEYS, workers, Buffers())
        packed = [[one.factors(ciphertext) for ciphertext in row] for row in left]
        return list(one.sums(np.array([[factors.addresses for factors in row] for row in packed]), right))


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


def test_what_does_not_match_is_named():
    with pytest.raises(ValueError, match="`keys` must have that of relinearisation"):
        Products(PARTIES.encoder, SwitchingKeys(None, {}, {}), Workers(1), Buffers())
    fresh, low = PARTIES.encrypt(np.zeros(N // 2)), PARTIES.encrypt(np.zeros(N // 2), 1)
    for left, right in (([[fresh]], [[fresh]] * 2), ([[low]], [[fresh]]), ([[low]], [[low]]), ([[fresh]], [[]])):
        with pytest.raises(ValueError, match="`left` must have as many terms as `right`"):
            products(left, right)
