"""Polynomials over Z_t against sums of Python integers, and at the largest residues and lengths that there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler import modular
from he.ring.params import PLAIN_MODULUS

WIDE = (786433, 4293918721, 1099510054913, 281474976317441)  # of 20, 32, 40 and 48 bits
MODULI = (2, 97, 257, 769, PLAIN_MODULUS, *WIDE)


def at(coefficients, x, t):
    return sum(int(c) * pow(int(x), i, t) for i, c in enumerate(coefficients)) % t


@st.composite
def tables(draw):
    t = draw(st.sampled_from(MODULI))
    points = draw(st.lists(st.integers(0, t - 1), min_size=1, max_size=40, unique=True))
    values = draw(st.lists(st.integers(0, t - 1), min_size=len(points), max_size=len(points)))
    return t, np.array(points), np.array(values)


@settings(max_examples=60)
@given(tables())
def test_interpolation_meets_its_points(table):
    t, points, values = table
    zero = modular.vanishing(points, t)
    through = modular.interpolate(points, values, zero, t)
    assert len(zero) == len(points) + 1
    assert zero[-1] == 1
    assert len(through) == len(points)
    assert all(0 <= c < t for c in (*zero, *through))
    assert [at(zero, x, t) for x in points] == [0] * len(points)
    assert [at(through, x, t) for x in points] == values.tolist()


@settings(max_examples=60)
@given(tables(), st.integers(0, 2**32 - 1))
def test_evaluation_is_horners(table, seed):
    t, points, _ = table
    p = np.random.default_rng(seed).integers(0, t, 1 + seed % 70)
    assert modular.evaluate(p, points, t).tolist() == [at(p, x, t) for x in points]


@settings(max_examples=60)
@given(st.sampled_from(MODULI), st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_division_leaves_less_than_the_divisor(t, length, degree, seed):
    rng = np.random.default_rng(seed)
    monic = np.append(rng.integers(0, t, degree), 1)
    p = rng.integers(0, t, length + degree)
    quotient, remainder = modular.divide(p, monic, t)
    assert len(remainder) == degree
    product = np.zeros(len(p), object)
    for i, q in enumerate(quotient):
        product[i : i + degree + 1] = (product[i : i + degree + 1] + int(q) * monic.astype(object)) % t
    product[:degree] = (product[:degree] + remainder) % t
    assert product.tolist() == p.tolist()


@pytest.mark.parametrize(("t", "length"), [(PLAIN_MODULUS, 1 << 15), (WIDE[0], 1 << 15), (WIDE[-1], 1 << 15)])
@pytest.mark.parametrize("residue", [1, 32768, 32769, -2, -1])
def test_products_are_exact_at_the_greatest_length_and_size(t, length, residue):
    """Equal residues, whose products add up without cancelling, as long as a table of all of Z_65537 makes them."""
    a = np.full((1, length), residue % t)
    counts = np.minimum(np.arange(1, 2 * length), np.arange(2 * length - 1, 0, -1))
    expected = [int(c) * residue * residue % t for c in counts]
    assert modular.multiply(a, a, t)[0].tolist() == expected


@pytest.mark.unwatched
def test_a_table_of_every_residue_is_interpolated():
    t = PLAIN_MODULUS
    points = np.arange(t)
    values = np.random.default_rng(0).integers(0, t, t)
    zero = modular.vanishing(points, t)
    # x^t - x, by Fermat.
    assert (zero[[1, t]].tolist(), np.count_nonzero(zero)) == ([t - 1, 1], 2)
    assert np.array_equal(modular.evaluate(modular.interpolate(points, values, zero, t), points, t), values)
