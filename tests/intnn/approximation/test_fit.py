"""Polynomials fit what they stand for, within their ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.approximation.fit import FURTHEST_VERTEX, Fitted, fitted, odd_slope
from intnn.layers.nodes import Activation
from intnn.values.arrays import FloatArray

EVERY = [
    Activation("relu"),
    Activation("leaky_relu", (0.1,)),
    Activation("elu", (1.0,)),
    Activation("gelu"),
    Activation("gelu_tanh"),
    Activation("silu"),
    Activation("softplus"),
    Activation("mish"),
    Activation("softsign"),
    Activation("tanh"),
    Activation("sigmoid"),
    Activation("hardtanh", (-1.0, 2.0)),
    Activation("hardsigmoid"),
    Activation("hardswish"),
]
functions = st.sampled_from(EVERY)


def values(fit: Fitted, x: FloatArray) -> FloatArray:
    return fit.after.apply(fit.polynomial.apply(fit.before.apply(x)))


def seen(seed: int, shape: tuple[int, ...] = (300, 4)) -> FloatArray:
    rng = np.random.default_rng(seed)
    wide = (-1, *[1] * (len(shape) - 2))
    return rng.normal(size=shape) * rng.uniform(0.5, 4.0, shape[1]).reshape(wide) + rng.normal(size=shape[1]).reshape(
        wide
    )


@given(functions, st.sampled_from([2, 3, 4, 8]), st.integers(0, 99), st.sampled_from([1.0, 1.5]))
def test_what_was_seen_lies_in_the_range_and_is_fitted(
    activation: Activation, degree: int, seed: int, margin: float
) -> None:
    x = seen(seed)
    fit = fitted(activation, degree, x, margin)
    u = fit.before.apply(x)
    assert (u >= fit.low - 1e-12).all()  # rounding, at a margin of 1
    assert (u <= fit.high + 1e-12).all()
    assert (np.abs([fit.low, fit.high]) <= 1.0).all()
    y, p = activation.apply(x), values(fit, x)
    assert fit.error == pytest.approx(np.sqrt(np.mean((p - y) ** 2) / np.mean(y**2)), rel=1e-6)
    # The constant zero has an error of 1; a straight line has less, and is what the weakest of these fits can do.
    assert fit.error < 0.6


@pytest.mark.parametrize("activation", EVERY, ids=lambda a: a.name)
def test_a_higher_degree_comes_closer(activation: Activation) -> None:
    x = seen(1)
    errors = [fitted(activation, degree, x, 1.2).error for degree in (4, 8, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.12


@given(functions, st.integers(0, 99))
def test_every_channel_has_the_best_of_all_squares(activation: Activation, seed: int) -> None:
    x = seen(seed)
    fit = fitted(activation, 2, x, 1.0)
    best = 0.0
    for channel in x.T:
        y = activation.apply(channel)
        best += np.sum((np.polyval(np.polyfit(channel, y, 2), channel) - y) ** 2)
    found = np.sum((values(fit, x) - activation.apply(x)) ** 2)
    # The grid and a vertex that is kept near cost something; a parabola for all channels costs several times as much.
    assert best <= found + 1e-12 <= 1.3 * best + 0.02 * np.sum(activation.apply(x) ** 2)


@given(st.permutations(range(4)), functions, st.sampled_from([2, 3, 4]))
def test_permuted_channels_have_permuted_polynomials(order: list[int], activation: Activation, degree: int) -> None:
    x = seen(3, (100, 4, 2, 2))
    one, other = (fitted(activation, degree, y, 1.2) for y in (x, x[:, order]))
    np.testing.assert_allclose(values(one, x)[:, order], values(other, x[:, order]), rtol=1e-9, atol=1e-9)


@given(st.floats(0.01, 100.0), st.sampled_from([2, 4, 6]))
def test_a_scaled_relu_is_fitted_as_well(factor: float, degree: int) -> None:
    x = seen(4)
    one, other = (fitted(Activation("relu"), degree, y, 1.2) for y in (x, factor * x))
    np.testing.assert_allclose(factor * values(one, x), values(other, factor * x), rtol=1e-8, atol=1e-8 * factor)


@pytest.mark.parametrize("activation", EVERY, ids=lambda a: a.name)
def test_the_table_of_slopes_is_right(activation: Activation) -> None:
    x = np.linspace(0.1, 8.0, 50)
    odd = (activation.apply(x) - activation.apply(-x)) / 2.0
    slope = odd_slope(activation)
    is_line = np.allclose(odd / x, odd[0] / x[0])
    assert (slope is not None) == is_line
    if slope is not None:
        np.testing.assert_allclose(odd, slope * x)
        coefficients = fitted(activation, 6, seen(5), 1.2).polynomial.coefficients
        assert coefficients[3::2] == (0.0, 0.0)


def test_a_square_does_not_hide_a_straight_line_far_from_its_vertex() -> None:
    x = np.abs(seen(6)) + 10.0  # where a ReLU is the identity
    fit = fitted(Activation("relu"), 2, x, 1.2)
    assert fit.error < 0.02
    vertex = np.maximum(np.abs(fit.low), np.abs(fit.high))
    assert (vertex <= 1.0 + 1e-12).all()
    assert (np.abs(fit.before.weight) > 0.0).all()
    # The vertex u = -v lies at (v - 1) / (v + 1) = (low + 1) / 2 or nearer.
    assert (np.abs(fit.low + fit.high) / 2.0 <= FURTHEST_VERTEX / (1.0 + FURTHEST_VERTEX) + 1e-12).all()


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("activation", EVERY, ids=lambda a: a.name)
@pytest.mark.parametrize("value", [0.0, -3.0, 1e-300])
def test_channels_that_never_change_are_fitted(activation: Activation, degree: int, value: float) -> None:
    x = np.full((20, 3), value)
    np.testing.assert_allclose(values(fitted(activation, degree, x, 1.2), x), activation.apply(x), atol=0.5)
    x[:, 0] = np.linspace(-5.0, 5.0, 20)  # beside one that does
    assert np.isfinite(values(fitted(activation, degree, x, 1.2), x)).all()
