"""Some coefficients of products of polynomials are those of whole products in plain Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import windows
from he.kernels.passes.transform import LOOSE
from he.kernels.tables.windows import WINDOW, window_tables
from he.ring.primes import ntt_primes
from intnn.values.arrays import frozen

LIMIT = 2**50


def products(prime: int, c: np.ndarray, k: np.ndarray, first: int, count: int) -> np.ndarray:
    t, spectra = window_tables(prime), np.empty(windows.spectra_shape(len(c), WINDOW * (first + count)), np.uint64)
    windows.windows(t, c, spectra)
    out = np.empty((len(k), WINDOW * count), np.uint64)
    windows.products(t, frozen(k), frozen(spectra), first, out)
    return out


@settings(max_examples=20)
@given(
    st.sampled_from([24, 45, 46, 47, 50]),
    st.sampled_from([64, 128]),
    st.integers(1, 10),
    st.data(),
    st.integers(0, 2**32 - 1),
)
def test_coefficients_are_those_of_whole_products(bits: int, N: int, keys: int, data: st.DataObject, seed: int) -> None:
    """Modulo primes of both kinds, of polynomials with many coefficients at the ends of what they may be."""
    (prime,) = ntt_primes((bits,), WINDOW)
    assert (prime < LOOSE) == (bits <= 46)
    rng, first = np.random.default_rng(seed), data.draw(st.integers(0, N // WINDOW - 1))
    count = data.draw(st.integers(1, N // WINDOW - first))
    c = np.where(rng.random(N) < 0.3, rng.choice([0, 1, prime - 1], N), rng.integers(0, prime, N)).astype(np.uint64)
    k = np.where(
        rng.random((keys, N)) < 0.3, rng.choice([-LIMIT, LIMIT, 0], (keys, N)), rng.integers(-999, 999, (keys, N))
    )
    found = products(prime, c, k, first, count)
    part = slice(WINDOW * first, WINDOW * (first + count))
    for i in {0, keys - 1}:  # the first lane, and the last one of all
        expected = reference.product(c.tolist(), k[i].tolist())[part]
        assert found[i].tolist() == [value % prime for value in expected]


@pytest.mark.parametrize("bits", [46, 50])
@pytest.mark.parametrize("N", [4096, 32768])
def test_no_sum_of_long_products_overflows(bits: int, N: int) -> None:
    """With the largest residues everywhere: -1 times a polynomial of ones, and of its multiples."""
    (prime,) = ntt_primes((bits,), WINDOW)
    k = np.array([[1], [-1], [LIMIT]]) * np.ones((1, N), np.int64)
    found = products(prime, np.full(N, prime - 1, np.uint64), k, N // WINDOW - 1, 1)
    signs = np.array([2 * (N - WINDOW + place + 1) - N for place in range(WINDOW)], object)
    assert (found.astype(object) == -signs * np.array([[1], [-1], [LIMIT]], object) % prime).all()
