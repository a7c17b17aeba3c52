"""Margins against their definition in plain integers, and against every input of a box."""

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intnn import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    Requantise,
    Scale,
    SumPool2d,
)
from intnn.certification import reference
from intnn.certification.margins import margins
from intnn.testing import int_arrays, int_inputs, int_networks


@st.composite
def boxes(draw, network, most=2):
    """Two boxes within a network's domain, with at most so many integers more than one along every axis."""
    lo, hi = network.input_domain.lo, network.input_domain.hi
    low = draw(int_inputs(network, 2))
    return low, np.minimum(low + draw(int_arrays(low.shape, 0, most)), hi) if hi > lo else low


def assert_as_defined(network, low, high, labels):
    for by_lines in (False, True):
        found = margins(network, (low, high), labels, by_lines)
        for row, label in enumerate(labels):
            assert found[row].tolist() == reference.margins(network, low[row], high[row], int(label), by_lines)


def inputs_of(low, high):
    """All integers of one box, [n, *shape]."""
    axes = [range(a, b + 1) for a, b in zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)]
    return np.array(list(product(*axes))).reshape(-1, *low.shape)


def assert_sound(network, low, high, label):
    logits = network.logits(inputs_of(low, high))
    worst = (logits[:, [label]] - logits).min(axis=0)
    for by_lines in (False, True):
        assert (margins(network, (low[None], high[None]), np.array([label]), by_lines)[0] <= worst).all()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_network_has_the_margins_of_the_definition(data):
    network = data.draw(int_networks(max_table_size=13, max_layers=3))
    low, high = data.draw(boxes(network))
    classes = network.logits(low).shape[1]
    assert_as_defined(network, low, high, data.draw(int_arrays((len(low),), 0, classes - 1)))


def residual(table, square):
    """Two branches that are joined twice, one of them pooled, behind padding, groups and dilation."""
    rng = np.random.default_rng(3)

    def weights(*shape):
        return rng.integers(-2, 3, shape)

    layers = (
        Conv2d(weights(4, 1, 2, 2), weights(4), stride=(1, 2), padding=(1, 0, 0, 1), groups=2, dilation=(2, 1)),
        LutActivation(table),
        Scale(np.array([3]), np.array([-1])),
        Add(),
        IntPolynomial(square),
        SumPool2d(2, (1, 2), (0, 1, 0, 1)),
        Conv2d(weights(2, 4, 2, 2), weights(2), padding=1),
        Flatten(),
        Flatten(),
        Concatenate(),
        Dense(weights(3, 20), weights(3)),
    )
    inputs = ((-1,), (0,), (1,), (2, 0), (3,), (4,), (5,), (5,), (6,), (7, 8), (9,))
    return layers, inputs


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_branches_are_added_up(data):
    domain = IntDomain(-60, 60)
    table = Lut(domain, data.draw(int_arrays((121,), -9, 9)))
    square = data.draw(st.sampled_from([(0, 0, 1), (1, -2, -3), (2, 5), (1, 0, 2, 1)]))
    layers, inputs = residual(table, square)
    network = IntNetwork((2, 3, 4), IntDomain(-1, 2), layers, inputs=inputs)
    low, high = data.draw(boxes(network, 1))
    assert_as_defined(network, low, high, np.array([0, 2])[: len(low)])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_no_input_of_a_box_has_a_smaller_margin(data):
    network = data.draw(int_networks(max_layers=3, dense_only=True, value_bound=1 << 20))
    (low, *_), (high, *_) = data.draw(boxes(network, 1))
    classes = network.logits(low[None]).shape[1]
    assert_sound(network, low, high, data.draw(st.integers(0, classes - 1)))


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from([(0, 0, 1), (3, -5, 2), (0, 7, -1), (1, 1, 0, -1)]))
def test_polynomials_are_bounded(data, coefficients):
    first, last = (Dense(data.draw(int_arrays((3, 3), -3, 3)), data.draw(int_arrays((3,), -5, 5))) for _ in range(2))
    network = IntNetwork((3,), IntDomain(-4, 4), (first, IntPolynomial(coefficients), last))
    (low, *_), (high, *_) = data.draw(boxes(network, 3))
    assert_sound(network, low, high, 1)
    assert_as_defined(network, low[None], high[None], np.array([1]))


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(-9, 9), st.integers(0, 4), st.sampled_from([2, 8, 1000]))
def test_rescalings_are_bounded(data, multiplier, shift, largest):
    first, last = (Dense(data.draw(int_arrays((3, 3), -3, 3)), data.draw(int_arrays((3,), -5, 5))) for _ in range(2))
    rescaling = Requantise(np.array([multiplier]), shift, IntDomain(-largest, largest))
    network = IntNetwork((3,), IntDomain(-4, 4), (first, rescaling, last))
    (low, *_), (high, *_) = data.draw(boxes(network, 3))
    assert_sound(network, low, high, 1)
    assert_as_defined(network, low[None], high[None], np.array([1]))


def test_integers_beyond_int64_stay_exact():
    square = IntPolynomial((0, 0, 1))
    layers = (Dense(np.array([[1 << 40, -(1 << 40)], [3, 5]]), np.array([1, -1])), square, square)
    network = IntNetwork((2,), IntDomain(-3, 3), layers)
    low, high = np.array([[-1, 2]]), np.array([[1, 3]])
    assert_as_defined(network, low, high, np.array([0]))
    assert_sound(network, low[0], high[0], 0)


@pytest.mark.parametrize("lowest", [-(2**63), -(2**62) - 2, 2**61, 2**62, 2**63 - 5])
def test_tables_far_from_zero_have_their_lines(lowest):
    # A line's value at zero, slope times 2**61, is beyond int64.
    domain = IntDomain(lowest, lowest + 4)
    table = LutActivation(Lut(domain, np.array([0, 4, 8, 12, 17])))
    inputs = (IntPolynomial((0, 1)),) if lowest == -(2**63) else ()  # without it, this is no accumulator
    network = IntNetwork((1,), domain, (*inputs, table, Dense(np.array([[1], [0]]), np.array([0, 8]))))
    low, high = np.array([[lowest]]), np.array([[lowest + 4]])
    for label in (0, 1):
        assert_as_defined(network, low, high, np.array([label]))
        assert_sound(network, low[0], high[0], label)


LEAST = -(2**63)  # of int64, whose magnitude is no int64


@pytest.mark.parametrize(
    ("weight", "bias", "low", "high"),
    [
        ([[LEAST, 1], [0, 0]], [0, 0], [-3, 2], [-3, 3]),
        ([[1, 1], [0, 0]], [LEAST, LEAST + 5], [1, 0], [1, 3]),
        ([[1, 7], [1, 0]], [5, 0], [LEAST, -3], [LEAST + 2, 3]),
    ],
)
def test_the_least_int64_is_as_large_as_it_is(weight, bias, low, high):
    last = Dense(np.array(weight), np.array(bias))
    network = IntNetwork((2,), IntDomain(LEAST, 3), (Dense(np.eye(2, dtype=int), [0, 0]), IntPolynomial((0, 1)), last))
    for label in (0, 1):
        assert_as_defined(network, np.array([low]), np.array([high]), np.array([label]))


def test_coefficients_beyond_floats_stay_exact_at_an_input_of_zeros():
    large, square = Dense(np.full((2, 2), 1 << 62), np.array([1, 2])), IntPolynomial((0, 0, 1))
    network = IntNetwork((2,), IntDomain(-3, 3), (large, square, large, square, large))
    zeros = np.zeros((1, 2), int)
    assert_as_defined(network, zeros, zeros, np.array([1]))


def test_lines_prove_what_intervals_cannot():
    # Both units rise with the first input, and their difference does not: x - x is not [-4, 4].
    same = Dense(np.array([[1], [1]]), np.zeros(2, int))
    table = LutActivation(Lut(IntDomain(0, 4), np.arange(5)))
    network = IntNetwork((1,), IntDomain(0, 4), (same, table, Dense(np.eye(2, dtype=int), np.array([1, 0]))))
    box = np.array([[0]]), np.array([[4]])
    assert margins(network, box, np.array([0]), by_lines=False).tolist() == [[0, -3]]
    assert margins(network, box, np.array([0]), by_lines=True).tolist() == [[0, 1]]


def test_lines_hold_at_the_points_of_a_table_and_not_between_them():
    # The table is 0, 1, 0, 1, ...: the line below is 0 at its even points, and the one above 1.
    table = LutActivation(Lut(IntDomain(0, 6), np.array([0, 1, 0, 1, 0, 1, 0])))
    network = IntNetwork((1,), IntDomain(0, 6), (table, Dense(np.array([[1], [0]]), np.array([1, 0]))))
    box = np.array([[0]]), np.array([[6]])
    assert margins(network, box, np.array([0]), by_lines=True).tolist() == [[0, 1]]


def test_the_last_layer_is_folded_into_differences():
    # Each logit is in [0, 4], their difference always 1.
    dense = Dense(np.array([[1], [1]]), np.array([1, 0]))
    network = IntNetwork((1,), IntDomain(0, 4), (LutActivation(Lut(IntDomain(0, 4), np.arange(5)[::-1])), dense))
    box = np.array([[0]]), np.array([[4]])
    assert margins(network, box, np.array([0]), by_lines=False).tolist() == [[0, 1]]
