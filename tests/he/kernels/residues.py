"""Residues of polynomials for tests of kernels, and back."""

import numpy as np
from hypothesis import strategies as st

from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes

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
