"""Logistic regression in the clear: the polynomial is the nearest, and steps follow its loss."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.training.refreshed.logistic import ODD, RANGE, LogisticDescent, fit_logistic, nearly_logistic
from he.training.refreshed.network import ReachError, with_ones

DESCENT = LogisticDescent(4, 1.0, 0.5)


def made(seed, n=60, d=3, classes=3):
    generator = np.random.default_rng(seed)
    x = with_ones(generator.normal(size=(n, d)).clip(-3, 3))
    return x, np.argmax(x @ generator.normal(size=(d + 1, classes)), axis=1)


def logistic(z):
    return 1 / (1 + np.exp(-z))


def test_the_polynomial_is_the_nearest_of_its_degree_in_the_mean_square():
    """Its error is orthogonal to the odd powers, by a quadrature that is exact far beyond their degree."""
    points, weights = np.polynomial.legendre.leggauss(200)
    error = nearly_logistic(RANGE * points) - logistic(RANGE * points)
    for power in (1, 3, 5):
        assert abs((weights * error * points**power).sum()) < 1e-6


@given(st.floats(-RANGE, RANGE))
def test_the_polynomial_is_odd_about_a_half_and_near_the_logistic_function(z):
    value = float(nearly_logistic(np.array(z)))
    assert value == pytest.approx(0.5 + ODD[0] * z + ODD[1] * z**3 + ODD[2] * z**5, abs=1e-12)
    assert value + float(nearly_logistic(np.array(-z))) == pytest.approx(1, abs=1e-12)
    assert abs(value - logistic(z)) < 0.0615
    assert -0.07 < value < 1.07


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9))
def test_steps_are_those_of_the_heavy_ball_on_the_polynomials_loss(seed, momentum):
    """A step is momentum times the last one, less the rate times the gradient of a sum of antiderivatives."""
    x, labels = made(seed)
    descent, seen = replace(DESCENT, momentum=momentum), [np.zeros((4, 3))]
    fit_logistic(x, labels, 3, descent, lambda step, head, reach: seen.append(head))
    known = np.eye(3)[labels]

    def loss(head):
        z = x @ head
        whole = z / 2 + ODD[0] * z**2 / 2 + ODD[1] * z**4 / 4 + ODD[2] * z**6 / 6
        return (whole - known * z).sum() / len(x)

    for i in range(descent.steps):
        gradient = np.empty((4, 3))
        for place in np.ndindex(4, 3):
            moved = seen[i].astype(complex)
            moved[place] += 1e-100j
            gradient[place] = loss(moved).imag / 1e-100
        last = seen[i] - seen[i - 1] if i else 0
        assert np.allclose(seen[i + 1] - seen[i], momentum * last - descent.rate * gradient, atol=1e-12)


def test_a_head_learns_what_can_be_learnt():
    x, labels = made(0, 400)
    head = fit_logistic(x, labels, 3, LogisticDescent(8, 0.5, 0.5))
    assert (np.argmax(x @ head, axis=1) == labels).mean() > 0.9


def test_what_leaves_the_range_or_the_reach_is_refused():
    x, labels = made(0)
    with pytest.raises(ReachError, match=r"logits must stay within 8 .* in step 2; lower the rate"):
        fit_logistic(x, labels, 3, replace(DESCENT, rate=60.0, reach=1000.0))
    with pytest.raises(ReachError, match=r"weights within `reach`, 0.01, got 0 and .* in step 1"):
        fit_logistic(x, labels, 3, replace(DESCENT, reach=0.01))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LogisticDescent(0, 1.0), ValueError, "`steps` must lie in"),
        (lambda: LogisticDescent(1, 0.0), ValueError, "`rate` must be finite and above 0"),
        (lambda: LogisticDescent(1, 1.0, 1.0), ValueError, r"`momentum` must lie in \[0, 1\)"),
        (lambda: LogisticDescent(1, 1.0, reach=np.inf), ValueError, "`reach` must be finite and above 0"),
        (lambda: fit_logistic(*made(0), 3, 4), TypeError, "`descent` must be a LogisticDescent"),
        (lambda: fit_logistic(made(0)[0], made(0)[1][1:], 3, DESCENT), ValueError, "as many as samples, 60, got 59"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
