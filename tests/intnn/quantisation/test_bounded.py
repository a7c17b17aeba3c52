"""Integer weights keep to the budget of their sums."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intnn import (
    IntDomain,
)
from intnn.quantisation.bounded import Budget, round_layer
from intnn.testing import float_arrays


@given(
    st.data(),
    st.integers(1, 20),
    st.tuples(st.integers(-9, 0), st.integers(0, 9)),
    st.tuples(st.integers(-300, 0), st.integers(0, 300)),
    st.integers(1, 127),
    st.floats(0.01, 100.0),
)
def test_a_fitted_layer_keeps_to_its_budget(data, width, inputs, target, weight_limit, scale):
    weight, bias = data.draw(float_arrays((2, width))), data.draw(float_arrays((2,)))
    budget = Budget(IntDomain(*inputs), IntDomain(*target), weight_limit)
    integers, offset, weight_scale = round_layer(weight, bias, scale, budget)
    positive, negative = np.maximum(integers, 0).sum(axis=1), np.minimum(integers, 0).sum(axis=1)
    assert (positive * inputs[1] + negative * inputs[0] + offset <= target[1]).all()
    assert (positive * inputs[0] + negative * inputs[1] + offset >= target[0]).all()
    assert np.abs(integers).max() <= weight_limit
    assert (integers * weight >= 0).all()
    # Never further from the scaled weight than rounding goes, in the direction of more.
    assert (np.abs(integers) <= np.abs(weight) * weight_scale + 0.5).all()


def test_where_the_budget_is_ample_weights_are_rounded_to_nearest():
    weight = np.random.default_rng(0).normal(size=(4, 30))
    integers, offset, scale = round_layer(
        weight, np.ones(4), 3.0, Budget(IntDomain(-3, 3), IntDomain(-(2**30), 2**30), 127)
    )
    assert np.abs(integers - weight * scale).max() <= 0.5
    assert np.abs(offset - 3.0 * scale).max() <= 0.5
    assert np.abs(integers).max() == 127


def test_unsigned_inputs_may_have_twice_the_weight():
    """Positive and negative weights cannot reach their worst at once."""
    weight = np.array([[1.0, -1.0] * 8])
    norms = {}
    for lo in (0, -1):
        integers, _, _ = round_layer(weight, np.zeros(1), 1.0, Budget(IntDomain(lo, 1), IntDomain(-24, 24), 127))
        norms[lo] = np.abs(integers).sum()
    assert norms == {0: 48, -1: 24}


def test_tight_budgets_keep_the_largest_weights():
    budget = Budget(IntDomain(-1, 1), IntDomain(-5, 5), 7)
    integers, _, _ = round_layer(np.array([[8.0, 1.0, 1.0, 1.0, -1.0]]), np.zeros(1), 1.0, budget)
    assert integers[0, 0] >= 4
    assert np.abs(integers).sum() <= 5
