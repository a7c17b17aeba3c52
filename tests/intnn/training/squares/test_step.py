"""A step on arrays is its definition in Python integers; gradients are derivatives; a network learns the digits."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.training.limits import VELOCITY_LIMIT
from intnn.training.squares import reference, step
from intnn.training.squares.plan import FRACTION, SquarePlan
from intnn.training.squares.step import SquareGradients, SquareState, checked_inputs, fit, logits, updated
from intnn.training.step import Rate

PLAN = SquarePlan(20, 4, 3, 3, 7, 5, 6, 10, 8, Fraction(1, 30), Fraction(1, 10))
FAR = SquarePlan(9, 3, 2, 2, 1 << 9, 1 << 8, 3, 1 << 15, 1, Fraction(1, 30), Fraction(1, 10))
WIDE = SquarePlan(30, 33, 4, 10, 7, 31, 31, 144, 77, Fraction(1, 15), Fraction(1, 10))


def drawn(plan, seed):
    rng = np.random.default_rng(seed)
    limit = plan.input_limit
    x = rng.integers(-limit, limit + 1, (plan.samples, plan.features))
    x[:, -1] = limit
    shapes = (plan.features, plan.hidden), (plan.hidden + 1, plan.classes)
    limits = plan.first_limit, plan.second_limit
    weights = [rng.integers(-k, k + 1, shape) for k, shape in zip(limits, shapes, strict=True)]
    return x, rng.integers(0, plan.classes, plan.samples), weights


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([PLAN, WIDE, FAR]), st.integers(0, 2**32 - 1))
def test_gradients_are_their_definition(plan, seed):
    x, labels, (first, second) = drawn(plan, seed)
    found = step.gradients(plan, x, labels, (first, second))
    for one, other in zip(
        (found.first, found.second), reference.gradients(plan, x, labels, first, second), strict=True
    ):
        assert one.dtype == other.dtype == object
        assert np.array_equal(one, other)


def test_the_worst_gradients_are_exact_beyond_int64():
    x, first, second = np.full((30, 33), 7), np.full((33, 4), 31), np.full((5, 10), 31)
    found = step.gradients(WIDE, x, np.zeros(30, int), (first, second))
    expected = reference.gradients(WIDE, x, np.zeros(30, int), first, second)
    assert np.array_equal(found.first, expected[0])
    assert np.array_equal(found.second, expected[1])
    assert 1 << 63 < max(abs(found.second).max(), abs(found.first).max()) <= WIDE.bounds.gradient * WIDE.bias


@given(
    st.integers(-(5 << FRACTION), 5 << FRACTION),
    st.integers(-VELOCITY_LIMIT, VELOCITY_LIMIT),
    st.integers(-(1 << 80), 1 << 80),
    st.integers(0, 15),
    st.integers(-3, 80),
)
def test_a_weight_moves_as_defined(master, velocity, gradient, momentum_shift, shift):
    plan = replace(PLAN, momentum_shift=momentum_shift, second_limit=5)
    rate = Rate(100, shift)
    plan.__dict__["rates"] = rate, rate  # as `cached_property` keeps them
    first, second = np.zeros((4, 3), np.int64), np.zeros((4, 3), np.int64)
    first[1, 2] = second[3, 0] = master
    velocities = np.where(first, velocity, 0), np.where(second, velocity, 0)
    if master == 0:
        velocities[0][1, 2] = velocities[1][3, 0] = velocity
    found = np.zeros((4, 3), object), np.zeros((4, 3), object)
    found[0][1, 2] = found[1][3, 0] = gradient
    state = updated(plan, SquareState(first, second, *velocities), SquareGradients(*found))
    expected = reference.moved(master, velocity, gradient, rate, momentum_shift, 5)
    assert (state.first[1, 2], state.first_velocity[1, 2]) == expected
    assert (state.second[3, 0], state.second_velocity[3, 0]) == expected
    assert not state.first[0].any()
    assert not state.first_velocity[0].any()


@given(st.integers(0, 2**32 - 1))
def test_gradients_point_where_the_loss_falls(seed):
    """Of the loss n |r|^2 / 2 in these integers, whose derivatives are 2 G_V and G_W: by symmetric differences, whose
    error for a polynomial of degree 4 in one weight of V is the third derivative over 6."""
    x, labels, (first, second) = drawn(PLAN, seed)
    found = step.gradients(PLAN, x, labels, (first, second))
    y = step.targets(PLAN, labels).astype(object)

    def loss(v, w):
        return Fraction(int(((logits(PLAN, x, (v, w)).astype(object) - y) ** 2).sum()), 2)

    def difference(which, place, by):
        moved = [first.copy(), second.copy()], [first.copy(), second.copy()]
        moved[0][which][place] += by
        moved[1][which][place] -= by
        return (loss(*moved[0]) - loss(*moved[1])) / (2 * by)

    for place in ((0, 0), (2, 1), (3, 2)):
        assert difference(1, place, 1) == found.second[place]
        assert (4 * difference(0, place, 1) - difference(0, place, 2)) / 3 == 2 * found.first[place]


def test_training_learns_and_tells_of_every_step():
    rng = np.random.default_rng(0)
    x = rng.integers(-7, 8, (200, 4))
    x[:, -1] = 7
    labels = (abs(x[:, 0]) > 3).astype(int) + (x[:, 1] > 2)  # no linear map of the inputs
    plan = replace(PLAN, samples=200, first_limit=31, second_limit=31, unit=100, second_unit=70, hidden=6)
    seen = []
    state = fit(plan, x, labels, 80, lambda number, state: seen.append((number, state)))
    assert [number for number, _ in seen] == list(range(1, 81))
    assert seen[-1][1] is state
    found = (logits(plan, x, state.weights).argmax(axis=1) == labels).mean()
    assert found > 0.8 > (logits(plan, x, SquareState.initial(plan).weights).argmax(axis=1) == labels).mean()
    again = fit(plan, x, labels, 80)
    assert np.array_equal(again.first, state.first)
    assert np.array_equal(again.second, state.second)
    assert abs(state.first).max() <= 31 << FRACTION


def test_the_start_is_near_one_and_named_by_the_seed():
    state, other = SquareState.initial(WIDE), SquareState.initial(replace(WIDE, seed=1))
    assert not np.array_equal(state.first, other.first)
    first, second = state.weights
    assert set(first[-1].tolist()) == {round(144 / 7)}
    assert abs(first[:-1]).max() <= 4
    assert abs(second).max() <= 4
    assert not second[-1].any()
    assert abs(state.first[:-1]).max() > 3 << FRACTION


def test_what_bounds_are_not_proved_for_is_refused():
    x, labels, _ = drawn(PLAN, 0)
    for wrong in (x[:-1], np.where(x == 7, 8, x), np.where(x == 7, 6, x)):
        with pytest.raises(ValueError, match="`x`"):
            checked_inputs(PLAN, wrong, labels)
    for wrong in (labels[:-1], np.where(labels == 0, 3, labels), np.where(labels == 0, -1, labels)):
        with pytest.raises(ValueError, match="`labels`"):
            checked_inputs(PLAN, x, wrong)
    with pytest.raises(TypeError, match="`x` must hold integers"):
        checked_inputs(PLAN, x.astype(float), labels)
    zeros = np.zeros((4, 3), np.int64)
    with pytest.raises(ValueError, match="`first` and `second` must have shapes"):
        SquareState(zeros, zeros[:3], zeros, zeros)
    with pytest.raises(ValueError, match="velocities must have the shapes of their weights"):
        SquareState(zeros, zeros, zeros[:3], zeros)
