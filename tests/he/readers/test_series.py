"""Series are the polynomials that they stand for, and reach as far as these."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from he.readers.series import Series

numbers = st.floats(-4, 4).map(lambda x: round(x, 3))
series = st.lists(numbers, min_size=1, max_size=12).map(lambda found: Series(tuple(found)))
PLACES = np.linspace(-1, 1, 4001)


def values(of):
    return chebyshev.chebval(PLACES, of.coefficients)


@given(series, series, numbers, numbers, numbers)
def test_sums_and_products_are_those_of_the_values(a, b, first, second, constant):
    assert values(Series.product(a, b)) == pytest.approx(values(a) * values(b), abs=1e-9)
    total = Series.sum([a, b], [first, second], constant)
    assert values(total) == pytest.approx(first * values(a) + second * values(b) + constant, abs=1e-9)


@given(series)
def test_a_bound_is_above_all_values_and_hardly_further(of):
    farthest = float(np.abs(values(of)).max())
    assert farthest * (1 - 1e-9) <= of.bound <= 1.006 * farthest + 1e-12


def test_what_is_not_known_stays_so():
    known = Series.of_unit(2.0)
    assert Series.of_unit(math.inf) is None
    assert Series.product(known, None) is Series.sum([known, None], [1.0, 1.0], 0.0) is None


def test_squares_of_squares_are_not_followed_for_ever():
    value = Series.of_unit(1.0)
    for _ in range(20):
        value = Series.product(value, value)
    assert value is None


@pytest.mark.filterwarnings("error")
def test_what_overflows_warns_of_nothing():
    value = Series.product(Series.of_unit(1e200), Series.of_unit(1e200))
    assert not value.bound < math.inf
