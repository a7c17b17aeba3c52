"""No number of a step is beyond its proved bound, bounds are reached, and what does not fit is refused."""

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.training.squares.plan import FRACTION, SquareBounds, SquarePlan

PLAN = SquarePlan(20, 4, 3, 3, 7, 5, 6, 10, 8, Fraction(1, 30), Fraction(1, 10))


def magnitudes(plan, x, labels, first, second):
    """The largest magnitudes of what a step computes, by numpy's arrays of Python integers."""
    x, first, second = (np.asarray(values, object) for values in (x, first, second))
    units = x @ first
    squares = units**2
    own = np.asarray(labels)[:, None] == np.arange(plan.classes)
    y = np.where(own, plan.target * (plan.classes - 1), -plan.target).astype(object)
    residuals = squares @ second[:-1] + plan.bias * second[-1] - y
    errors = residuals @ second[:-1].T
    inner = units * errors
    every = units, squares, residuals, errors, inner, x.T @ inner, squares.T @ residuals, residuals.sum(axis=0)
    return [int(abs(values).max()) for values in every]


def bounds(plan):
    return [getattr(plan.bounds, field.name) for field in fields(SquareBounds)]


@given(st.integers(0, 2**32 - 1))
def test_no_number_is_beyond_its_bound(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-7, 8, (20, 4))
    x[:, -1] = 7
    first, second = rng.integers(-5, 6, (4, 3)), rng.integers(-6, 7, (4, 3))
    found = magnitudes(PLAN, x, rng.integers(0, 3, 20), first, second)
    assert all(a <= b for a, b in zip(found, bounds(PLAN), strict=True))


def test_the_worst_samples_and_weights_reach_almost_all_bounds():
    """But those of gradients and errors by the targets, which are not the same for all classes."""
    x, first, second = np.full((20, 4), 7), np.full((4, 3), 5), np.full((4, 3), -6)
    found = magnitudes(PLAN, x, np.zeros(20, int), first, second)
    for a, b in zip(found, bounds(PLAN), strict=True):
        assert 0.9 * b < a <= b
    assert found[:3] == bounds(PLAN)[:3]


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, samples=1, unit=1, second_unit=1)])
def test_rates_are_those_of_the_network_in_real_numbers(plan):
    """A master weight is 2**FRACTION unit times v; G_V is n unit^3 second_unit^2 / 2 times the gradient of v."""
    first, second = (rate.mantissa / 2.0**rate.shift for rate in plan.rates)
    one = 2.0**FRACTION / plan.samples
    expected_first = float(plan.first_rate) * one * plan.unit * 2 / (plan.unit**3 * plan.second_unit**2)
    expected_second = float(plan.second_rate) * one * plan.second_unit / (plan.unit**4 * plan.second_unit)
    assert first == pytest.approx(expected_first, rel=1 / 128)
    assert second == pytest.approx(expected_second, rel=1 / 128)
    assert all(64 <= rate.mantissa < 128 for rate in plan.rates)


@given(st.fractions(Fraction(1, 1 << 200), 1 << 40))
def test_rates_have_seven_bits_and_the_nearest_value(rate):
    plan = replace(PLAN, samples=1, unit=1, second_rate=rate)
    found, exact = plan.rates[1], rate * 2**FRACTION
    assert 64 <= found.mantissa < 128
    assert abs(found.mantissa / Fraction(2) ** found.shift - exact) <= exact / 128


def test_what_is_out_of_range_is_named():
    for name, value in (("samples", 0), ("features", 1), ("hidden", 0), ("classes", 1), ("input_limit", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must lie in"):
            replace(PLAN, **{name: value})
    for name, value in (("unit", 1 << 16), ("momentum_shift", 16), ("seed", -1), ("seed", 1 << 64)):
        with pytest.raises(ValueError, match=f"`{name}` must lie in"):
            replace(PLAN, **{name: value})
    with pytest.raises(ValueError, match="`first_rate` must be above 0, got 0"):
        replace(PLAN, first_rate=Fraction(0))
    with pytest.raises(TypeError, match="`second_rate` must be a Fraction, got float"):
        replace(PLAN, second_rate=0.1)
    with pytest.raises(ValueError, match="what a step multiplies must have at most 62 bits, but may have"):
        replace(PLAN, first_limit=1 << 15, input_limit=1 << 15)
