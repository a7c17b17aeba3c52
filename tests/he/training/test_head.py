"""The clear twin: Chebyshev's steps, and the combination of gradients that a trainer computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Chebyshev

from he.training.head import Descent, accuracy, fit, require_white, targets

descents = st.builds(Descent, st.integers(1, 5), st.floats(0.5, 5), st.floats(1.5, 30))


def residual(descent, eigenvalue):
    """What is left of a gradient in a direction with this eigenvalue: 1 - eigenvalue * W_k, from G W = 1."""
    weight, direction = 0.0, 0.0
    for alpha, beta in descent.rates:
        direction = (1 - eigenvalue * weight) + beta * direction
        weight += alpha * direction
    return 1 - eigenvalue * weight


@given(descents, st.floats(0, 1.2))
def test_steps_leave_chebyshevs_polynomial(descent, share):
    low, high = descent.bound / descent.ratio, descent.bound
    eigenvalue = share * high
    polynomial = Chebyshev.basis(descent.steps, domain=[low, high])
    wanted = polynomial(high + low - eigenvalue) / polynomial(high + low)  # reflected, for T_k(t / h) at 0
    assert residual(descent, eigenvalue) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(descents, st.floats(0, 1))
def test_within_the_bound_no_direction_ever_grows(descent, share):
    assert abs(residual(descent, share * descent.bound)) <= 1 + 1e-12


@given(descents)
def test_the_levels_are_those_of_the_products(descent):
    """One product for the first gradient, two for every later one."""
    assert descent.levels == 1 + 2 * (descent.steps - 1)


@given(descents, st.floats(0, 1))
def test_heads_are_fixed_combinations_of_gradients(descent, share):
    """With one feature and one class everything is a number: the moments are the eigenvalue."""
    eigenvalue = share * descent.bound
    gradients, head = [], 0.0
    for row, (alpha, _) in zip(descent.weights, descent.rates, strict=True):
        gradients.append(1 - eigenvalue * head)
        head = np.dot(row, gradients)
        assert row[-1] == pytest.approx(alpha)
        assert min(row) > 0
    assert 1 - eigenvalue * head == pytest.approx(residual(descent, eigenvalue), abs=1e-9)


def made(seed, n=60, d=5, classes=3):
    generator = np.random.default_rng(seed)
    x = np.concatenate([generator.normal(size=(n, d - 1)).clip(-4, 4), np.ones((n, 1))], axis=1)
    return x, generator.integers(0, classes, n)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_many_steps_approach_the_least_squares(seed):
    x, labels = made(seed)
    values = np.linalg.eigvalsh(x.T @ x / len(x))
    head = fit(x, labels, 3, Descent(8, values.max(), max(values.max() / values.min(), 1.01)))
    best = np.linalg.lstsq(x, targets(labels, 3), rcond=None)[0]
    one = fit(x, labels, 3, Descent(1, values.max()))
    assert np.linalg.norm(head - best) < 0.05 * np.linalg.norm(one - best) + 1e-9


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_twin_follows_the_recursion(seed, steps):
    x, labels = made(seed)
    descent, y = Descent(steps, 3.0), targets(labels, 3)
    head, direction = np.zeros((5, 3)), np.zeros((5, 3))
    for alpha, beta in descent.rates:
        direction = x.T @ (y - x @ head) / len(x) + beta * direction
        head = head + alpha * direction
    assert np.allclose(fit(x, labels, 3, descent), head, atol=1e-12)


def test_a_bound_that_is_too_small_ruins_the_head():
    x, labels = made(0)
    top = np.linalg.eigvalsh(x.T @ x / len(x)).max()
    best = np.linalg.lstsq(x, targets(labels, 3), rcond=None)[0]
    errors = [np.linalg.norm(fit(x, labels, 3, Descent(6, top * share)) - best) for share in (1.0, 0.5)]
    assert errors[1] > 10 * errors[0]


def test_targets_sum_to_zero_and_name_their_label():
    made_targets = targets(np.array([2, 0, 1, 2]), 3)
    assert np.allclose(made_targets.sum(axis=1), 0)
    assert made_targets.argmax(axis=1).tolist() == [2, 0, 1, 2]


def test_accuracy_counts_the_largest_logits():
    x = np.array([[1.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [-2.0, 1.0]])
    assert accuracy(x, np.array([0, 1, 1, 1]), np.array([[1.0, -1.0], [0.0, 0.0]])) == 0.75


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Descent(0, 2.0), ValueError, "`steps` must lie in"),
        (lambda: Descent(2, 0.0), ValueError, "`bound` must be finite and above 0"),
        (lambda: Descent(2, np.inf), ValueError, "`bound` must be finite and above 0"),
        (lambda: Descent(2, 2.0, 1.0), ValueError, "`ratio` must be finite and above 1"),
        (lambda: Descent(2, "2"), TypeError, "`bound` must be a float"),
        (lambda: targets(np.array([0, 3]), 3), ValueError, r"`labels` must lie in \[0, 3\)"),
        (lambda: targets(np.array([0.0]), 3), TypeError, "`labels` must hold integers"),
        (lambda: targets(np.zeros((2, 2), int), 3), ValueError, r"`labels` must have shape \[n\]"),
        (lambda: require_white(np.full((2, 2), 17.0), 2), ValueError, "give what a whitening made"),
        (lambda: require_white(np.zeros((2, 2)), 2), ValueError, "ones in the last column"),
        (lambda: fit(np.ones((3, 2)), np.array([0, 1]), 2, Descent(1, 2.0)), ValueError, "as many as samples, 3"),
        (lambda: fit(np.float64(1), np.array([0]), 2, Descent(1, 2.0)), ValueError, "`x` must have shape"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
