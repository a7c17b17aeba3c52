"""Key switching by several special primes: the integers of the reference, bit for bit."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import evaluate, hybrid, switching
from he.kernels.passes.extension import fraction_error
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.kernels.tables.gadgets import gadget_tables
from he.ring.gadget import Gadget
from he.ring.primes import ntt_primes
from he.ring.slots import permutation


class Case:
    """A gadget with a chain, which may have primes behind the gadget's, and a source of numbers."""

    def __init__(self, N, bits, level, specials, seed):
        primes = ntt_primes((*bits, 30), N)  # as BFV, whose auxiliary primes follow
        self.gadget = Gadget(N, primes[:-1], level, specials)
        self.tables, self.constants = chain(N, primes).tables, gadget_tables(self.gadget)
        self.rng = np.random.default_rng(seed)
        self.q, self.special = prod(self.gadget.primes[:level]), self.gadget.factor

    def polynomial(self, modulus):
        return [int.from_bytes(self.rng.bytes(160), "little") % modulus for _ in range(self.gadget.degree)]

    def rows(self, x, count=None):
        """Transformed residues, of all primes or the first ones."""
        found = np.array([[a % p for a in x] for p in self.gadget.primes[:count]], np.uint64)
        for row, index in zip(found, self.gadget.indices, strict=False):
            evaluate.forward(self.tables, row, index)
        return found

    def coefficients(self, rows):
        found = rows.copy()
        for row, index in zip(found, self.gadget.indices, strict=False):
            evaluate.inverse(self.tables, row, index)
        return found

    def is_residues_of(self, rows, x):
        expected = [[a % p for a in x] for p in self.gadget.primes[: len(rows)]]
        return self.coefficients(rows).tolist() == expected

    def digits(self, x):
        return [[reference.centred(a % D, D) for a in x] for D in self.gadget.moduli]

    def key(self):
        """A key as polynomials, and as factors for the gadget of the top level."""
        whole = self.q * self.special
        key = [[self.polynomial(whole) for _ in range(2)] for _ in self.gadget.groups]
        stored = np.array([[self.rows(p) for p in pair] for pair in key]).astype(object) * 2**52
        return key, Factors.packed(
            (stored % np.array(self.gadget.primes)[:, None]).astype(np.uint64), self.gadget.primes
        )

    def prepared(self, x):
        """Arrays for kernels: what `to_parts` makes of rows, a part of them at a time."""
        digits = len(self.gadget.groups)
        parts, multiples = np.empty_like(x), np.empty((digits, self.gadget.degree), np.int64)
        for first, stop in ((0, digits // 2), (digits // 2, digits)):
            hybrid.to_parts(self.tables, self.constants, x, parts, multiples, first, stop)
        return x, parts, multiples


@st.composite
def cases(draw):
    count = draw(st.integers(2, 8))
    bits = draw(st.lists(st.integers(24, 50), min_size=count, max_size=count))
    level = draw(st.integers(1, count - 1))
    specials = draw(st.integers(1, count - level))
    return Case(draw(st.sampled_from([64, 128])), bits, level, specials, draw(st.integers(0, 2**32)))


LOOSE_AND_MANY = [
    (64, [45] * 15, 13, 1),
    (64, [50] * 15, 14, 1),
    (64, [50] * 24, 12, 12),
    (64, [50] * 12 + [45] * 12, 12, 12),
    (64, [46] * 9, 5, 4),
]


@settings(max_examples=40)
@given(cases())
def test_a_switch_is_the_inner_product_of_centred_digits_and_the_key_divided(case):
    assert_switches(case)


@pytest.mark.parametrize("sizes", LOOSE_AND_MANY)
def test_so_it_is_with_many_digits_and_with_long_ones(sizes):
    assert_switches(Case(*sizes, seed=1))


def assert_switches(case):
    gadget, tables, constants, N = case.gadget, case.tables, case.constants, case.gadget.degree
    rows, x = len(gadget.primes), case.polynomial(case.q)
    arguments = case.prepared(case.rows(x, gadget.level))
    expected = case.digits(x)
    digits = np.empty((rows, len(gadget.groups), N), np.uint64)
    for first, stop in ((0, 1), (1, rows)):
        hybrid.decompose(tables, constants, *arguments[1:], digits, first, stop)
    for row, (index, p) in enumerate(zip(gadget.indices, gadget.primes, strict=True)):
        for group, digit, values in zip(gadget.groups, digits[row], expected, strict=True):
            if index in group:
                digit = arguments[0][row]
            found = np.array((digit & np.uint64((1 << 52) - 1)) % np.uint64(p))  # of loose residues 52 bits count
            evaluate.inverse(tables, found, index)
            assert found.tolist() == [a % p for a in values]
    key, factors = case.key()
    sums, out = np.empty((2, rows, N), np.uint64), np.empty((2, gadget.level, N), np.uint64)
    for first, stop in ((0, 1), (1, rows)):
        hybrid.switch(tables, constants, *arguments, factors.addresses, sums, first, stop)
    for first, stop in ((0, 1), (1, 2)):
        hybrid.mod_down(tables, constants, sums, out, first, stop)
    for c in range(2):
        halves = [pair[c] for pair in key]
        total = [sum(terms) for terms in zip(*map(reference.product, expected, halves), strict=True)]
        assert case.is_residues_of(sums[c], total)
        assert case.is_residues_of(out[c], reference.switched(expected, halves, case.q, case.special))


@settings(max_examples=30)
@given(cases(), st.integers(0, 127))
def test_a_rotation_is_a_switch_and_an_addition_turned(case, half):
    gadget, tables, constants, N = case.gadget, case.tables, case.constants, case.gadget.degree
    rows, element = len(gadget.primes), (2 * half + 1) % (2 * N)
    added, x = case.polynomial(case.q), case.polynomial(case.q)
    pair, order = np.array([case.rows(p, gadget.level) for p in (added, x)]), permutation(N, element)
    arguments = case.prepared(pair[1])
    key, factors = case.key()
    result, other = np.empty((2, 2, rows, N), np.uint64)
    digits = np.empty((rows, len(gadget.groups), N), np.uint64)
    for first, stop in ((0, 1), (1, rows)):
        hybrid.rotate(tables, constants, pair, *arguments[1:], factors.addresses, order, result, first, stop)
    hybrid.decompose(tables, constants, *arguments[1:], digits, 0, rows)
    hybrid.rotate_digits(tables, constants, pair, digits, factors.addresses, order, other)
    assert np.array_equal(result, other)
    parts = [map(reference.product, case.digits(x), [pair[c] for pair in key]) for c in range(2)]
    first, second = ([sum(terms) for terms in zip(*of, strict=True)] for of in parts)
    total = [a + case.special * b for a, b in zip(first, added, strict=True)]
    assert case.is_residues_of(result[0], reference.automorphism(total, element))
    assert case.is_residues_of(result[1], reference.automorphism(second, element))


@settings(max_examples=30)
@given(cases())
def test_with_one_special_prime_it_is_what_the_other_kernels_do(case):
    gadget, tables, N = case.gadget, case.tables, case.gadget.degree
    if gadget.specials > 1:
        gadget = Gadget(N, gadget.chain, gadget.level)
    level, last = gadget.level, gadget.indices[-1]
    constants, x = gadget_tables(gadget), case.rows(case.polynomial(case.q), level)
    key = case.rng.integers(0, np.array(gadget.primes)[:, None], (level, 2, level + 1, N)).astype(np.uint64)
    factors = Factors.packed(key, gadget.primes)  # held: its memory is read
    parts, multiples, centred = np.empty_like(x), np.empty((level, N), np.int64), np.empty_like(x)
    hybrid.to_parts(tables, constants, x, parts, multiples, 0, level)
    switching.to_centred(tables, x, centred, 0, level)
    found, expected = np.empty((2, 2, level + 1, N), np.uint64)
    hybrid.switch(tables, constants, x, parts, multiples, factors.addresses, found, 0, level + 1)
    by_prime = np.zeros((level, 2, last + 1), np.int64)
    by_prime[:, :, list(gadget.indices)] = factors.addresses
    switching.switch(tables, x, centred, by_prime, last, expected, 0, level + 1)
    assert np.array_equal(found, expected)
    downs = np.empty((2, 2, level, N), np.uint64)
    hybrid.mod_down(tables, constants, found, downs[0], 0, 2)
    switching.mod_down(tables, found, last, downs[1], 0, 2)
    assert np.array_equal(*downs)


@settings(max_examples=60)
@given(cases(), st.data())
def test_next_to_one_half_a_digit_is_still_one_and_no_longer_than_stated(case, data):
    """The worst inputs: values next to an odd multiple of half a digit's modulus, and at the ends."""
    gadget = case.gadget
    offsets = st.integers(-3, 3) | st.integers(-(2**60), 2**60)
    places = st.sampled_from([D // 2 for D in gadget.moduli] + [0, case.q // 2])
    few = data.draw(st.lists(st.tuples(places, offsets), min_size=1, max_size=8))
    x = [sum(few[i % len(few)]) % case.q for i in range(gadget.degree)]
    parts, multiples = case.prepared(case.rows(x, gadget.level))[1:]
    for g, (group, D) in enumerate(zip(gadget.groups, gadget.moduli, strict=True)):
        bound = D * (Fraction(1, 2) + Fraction(fraction_error(len(group))))
        for k in range(len(few)):
            terms = (int(parts[i, k]) * (D // gadget.primes[i]) for i in group)
            value = sum(terms) - int(multiples[g, k]) * D
            assert value % D == x[k] % D
            assert abs(value) <= bound


def test_the_error_of_fractions_is_as_small_as_stated_for_the_largest_sums():
    """Exactly: what float64 makes of the largest fractions, against the rationals."""
    primes = ntt_primes((50,) * 24, 64)
    rng = np.random.default_rng(3)
    for count in (1, 2, 12, 24):
        for _ in range(200):
            parts = [int(rng.integers(p - 2**20, p)) for p in primes[:count]]
            total, exact = 0.5, Fraction(1, 2)
            for y, p in zip(parts, primes, strict=False):
                total += y * (1 / np.float64(p))
                exact += Fraction(y, p)
            assert abs(Fraction(float(total)) - exact) <= Fraction(fraction_error(count))
