from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intnn import Conv2d, Dense, Flatten, IntDomain, Interval, IntNetwork, Lut, LutActivation, SumPool2d
from intnn.layers.intervals import propagate
from intnn.ops import numpy_, reference
from intnn.testing import int_arrays, int_inputs, int_networks

M = 2**63 - 1


@st.composite
def intervals(draw, shape, m=5):
    a, b = draw(int_arrays(shape, -m, m)), draw(int_arrays(shape, -m, m))
    return Interval(np.minimum(a, b), np.maximum(a, b))


def corners(x):
    """All inputs whose every element is at an end of its range, [2**n, *shape]."""
    ends = np.stack([x.lo.ravel(), x.hi.ravel()])
    n = x.lo.size
    picks = np.array(list(product((0, 1), repeat=n)))
    return ends[picks, np.arange(n)].reshape(-1, *x.lo.shape)


def assert_exact(node, x):
    """A linear function takes its extremes at corners, so the range of the corners is the range."""
    y, bound = propagate(node, x)
    images = node.apply(corners(x), numpy_)
    assert np.array_equal(y.lo, images.min(axis=0))
    assert np.array_equal(y.hi, images.max(axis=0))
    assert bound >= max(y.hull.magnitude, x.hull.magnitude)


@given(st.data(), st.integers(1, 6), st.integers(1, 3))
def test_dense_is_exact(data, width, out):
    node = Dense(data.draw(int_arrays((out, width), -4, 4)), data.draw(int_arrays((out,), -4, 4)))
    assert_exact(node, data.draw(intervals((width,))))


@settings(max_examples=40)
@given(st.data(), st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_convolution_is_exact_with_zeros_at_the_border(data, channels, size, padding, stride):
    weight = data.draw(int_arrays((2, channels, size, min(size, 2)), -4, 4))
    node = Conv2d(weight, data.draw(int_arrays((2,), -4, 4)), stride, padding)
    assert_exact(node, data.draw(intervals((channels, 3, 2))))


def test_a_padded_border_counts_as_zero_and_not_as_a_range():
    node = Conv2d(np.ones((1, 1, 3, 3), int), np.zeros(1, int), padding=1)
    y, bound = propagate(node, Interval.full(IntDomain(1, 2), (1, 3, 3)))
    assert y.lo.tolist() == [[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]
    assert y.hi.tolist() == [[[8, 12, 8], [12, 18, 12], [8, 12, 8]]]
    assert bound == 18


@given(st.data(), st.integers(1, 2), st.integers(1, 2))
def test_pooling_is_exact(data, size, stride):
    assert_exact(SumPool2d(size, stride), data.draw(intervals((1, 3, 3))))


@given(st.data(), st.integers(1, 40))
def test_tables_are_exact(data, size):
    lut = Lut(IntDomain(-5, size - 6), data.draw(int_arrays((size,), -(2**62), 2**62)))
    a, b = (data.draw(int_arrays((2, 3), lut.domain.lo, lut.domain.hi)) for _ in range(2))
    x = Interval(np.minimum(a, b), np.maximum(a, b))
    y, _ = propagate(LutActivation(lut), x)
    for index in np.ndindex(2, 3):
        image = lut(np.arange(x.lo[index], x.hi[index] + 1))
        assert (y.lo[index], y.hi[index]) == (image.min(), image.max())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_value_and_no_partial_sum_leaves_its_range(data):
    network = data.draw(int_networks())
    x = data.draw(int_inputs(network))
    for node, interval, bound in zip(network.layers, network.intervals, network.bounds, strict=True):
        if isinstance(node, (Dense, Conv2d)):
            terms = type(node)(np.abs(node.weight), np.abs(node.bias), *(
                (node.stride, node.padding) if isinstance(node, Conv2d) else ()))  # fmt: skip
            assert terms.apply(np.abs(x), reference).max() <= bound
        x = node.apply(x, reference)
        assert interval.contains(x)
    assert network.accumulator_bound == max(network.bounds)
    assert [r.hi for r in network.ranges] == [i.hi.max() for i in network.intervals]


@pytest.mark.parametrize(("weight", "bias"), [([[M, 1]], [-1]), ([[M - 1, 1]], [0]), ([[1, 1]], [M - 2])])
def test_a_bound_just_below_the_limit_is_held_or_refused_exactly(weight, bias):
    """The totals of absolute terms here are 2**63 + 1, 2**63 - 1 and 2**63 - 1: float64 could not tell them apart."""
    total = sum(weight[0]) + abs(bias[0])
    x = Interval.full(IntDomain(0, 1), (2,))
    node = Dense(np.array(weight), np.array(bias))
    if total < 2**63:
        y, bound = propagate(node, x)
        assert bound == total
        assert y.hull == IntDomain(bias[0], sum(weight[0]) + bias[0])
    else:
        with pytest.raises(ValueError, match=f"must keep every value and partial sum below 2\\*\\*63, got {total}"):
            propagate(node, x)


@pytest.mark.parametrize(
    ("domain", "layers"),
    [
        (IntDomain(-(2**63), 0), (Flatten(),)),
        (IntDomain(-(2**63), 0), (Dense(np.zeros((1, 4), int), np.zeros(1, int)),)),
        (IntDomain(0, M), (Dense(np.full((1, 4), M), np.zeros(1, int)),)),
        (IntDomain(0, 0), (Dense(np.zeros((1, 4), int), np.array([-(2**63)])),)),
        (IntDomain(0, 0), (LutActivation(Lut(IntDomain(0, 0), np.array([-(2**63)]))),)),
    ],
)
def test_what_could_overflow_cannot_be_constructed(domain, layers):
    with pytest.raises(ValueError, match=r"`layers\[0\]` must keep every value and partial sum below 2\*\*63"):
        IntNetwork((4,), domain, layers)


def test_a_pool_that_could_overflow_cannot_be_constructed():
    with pytest.raises(ValueError, match="below 2"):
        IntNetwork((1, 2, 2), IntDomain(0, 2**61), (SumPool2d(2),))


def test_a_large_accumulator_is_exact():
    """Between 2**53 and 2**63 the analysis leaves float64 for Python integers."""
    x = Interval.full(IntDomain(-3, 2**30), (2,))
    y, bound = propagate(Dense(np.array([[2**31 + 1, -(2**31)]]), np.array([1])), x)
    assert y.lo.tolist() == [-3 * (2**31 + 1) - 2**61 + 1]
    assert y.hi.tolist() == [(2**31 + 1) * 2**30 + 3 * 2**31 + 1]
    assert bound == (2**32 + 1) * 2**30 + 1
