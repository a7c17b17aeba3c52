"""Ciphertexts merged and split by automorphisms: the integers of the reference, bit for bit."""

from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import evaluate, traces
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.ring.primes import ntt_primes
from he.ring.slots import permutation

N = 64


class Case:
    """Ciphertexts of random polynomials, a key of a random automorphism, and a random power of X."""

    def __init__(self, bits, element, power, seed):
        rng = np.random.default_rng(seed)
        primes = ntt_primes(tuple(bits), N)
        self.table, self.primes, self.special, self.level = chain(N, primes), primes[:-1], primes[-1], len(primes) - 1
        self.q, self.element = prod(self.primes), element
        self.x, self.y = ([self.random(rng, self.q) for _ in range(2)] for _ in range(2))
        self.x[1][:2] = 0, self.q - 1
        self.key = [[self.random(rng, self.q * self.special) for _ in range(2)] for _ in self.primes]
        self.w = [int(i == power) for i in range(N)]
        stored = np.array([[self.rows(p, primes, times=2**52) for p in pair] for pair in self.key])
        self.factors = Factors.packed(stored, primes)
        self.operands = self.factors.addresses, self.level, permutation(N, element)

    @staticmethod
    def random(rng, modulus):
        return [int.from_bytes(rng.bytes(40), "little") % modulus for _ in range(N)]

    def rows(self, x, primes, times=1):
        rows = np.array([[a * times % p for a in x] for p in primes], np.uint64)
        for j, row in enumerate(rows):
            evaluate.forward(self.table.tables, row, j)
        return rows

    def residues(self, ciphertext):
        return np.array([self.rows(polynomial, self.primes) for polynomial in ciphertext])

    def image(self, ciphertext):
        """By the reference."""
        return reference.image(ciphertext, self.key, self.element, self.primes, self.special)

    def times(self, ciphertext):
        return [reference.product(polynomial, self.w) for polynomial in ciphertext]


def combined(x, sign, y):
    return [[a + sign * b for a, b in zip(*pair, strict=True)] for pair in zip(x, y, strict=True)]


cases = given(
    st.builds(
        Case,
        st.lists(st.integers(20, 50), min_size=2, max_size=4),
        st.integers(0, N - 1).map(lambda half: 2 * half + 1), st.integers(0, N - 1), st.integers(0, 2**32),
    )
)  # fmt: skip


@settings(max_examples=25)
@cases
def test_two_are_merged(case):
    w, multiple = case.rows(case.w, case.primes, times=2**52), case.times(case.y)
    difference = [[a % case.q for a in row] for row in combined(case.x, -1, multiple)]
    expected = case.residues(combined(combined(case.x, 1, multiple), 1, case.image(difference)))
    x, y = case.residues(case.x), case.residues(case.y)
    traces.merge(case.table.tables, x, y, w, *case.operands, x)
    assert np.array_equal(x, expected)


@settings(max_examples=25)
@cases
def test_one_is_split(case):
    image, x = case.image(case.x), case.residues(case.x)
    even, odd, whole = np.empty((3, *x.shape), np.uint64)
    traces.split(case.table.tables, x, case.rows(case.w, case.primes, times=2**52), *case.operands, even, odd)
    assert np.array_equal(even, case.residues(combined(case.x, 1, image)))
    assert np.array_equal(odd, case.residues(case.times(combined(case.x, -1, image))))
    traces.add_image(case.table.tables, x, *case.operands, whole)
    assert np.array_equal(whole, even)
