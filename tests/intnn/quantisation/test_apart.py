"""Taps that are never in one sum: the worst case of a transposed convolution is that of the sums that it has."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    MaxPool2d,
    QuantConfig,
    Reshape,
    SumPool2d,
    calibrate,
    quantise,
)
from intnn.convert.resampling import Points, Side, nearest, transposed_convolution
from intnn.layers.intervals import propagate
from intnn.quantisation import by_ranges, tables
from intnn.quantisation.apart import apart
from intnn.quantisation.bounded import Budget, round_layer
from intnn.quantisation.tables import integer_tables
from intnn.values.domain import Interval


def spread(weight, bias, stride, shape, groups=1):
    """The nodes of a transposed convolution."""
    nodes = []
    side = Side(stride, 0, 0, 1)
    transposed_convolution(lambda node, _: nodes.append(node), None, shape, weight, bias, (side, side), groups)
    return nodes


@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2]), st.integers(0, 99))
def test_rounded_weights_keep_every_sum_in_the_budget_and_use_it(stride, taps, groups, seed):
    rng = np.random.default_rng(seed)
    shape, weight = (2, 3, 3), rng.normal(size=(2, 2, taps, taps))
    *before, layer = spread(weight, rng.normal(size=2 * groups) / 8, stride, shape, groups)
    x = Interval.full(IntDomain(-3, 5), shape)
    for node in before:
        x, _ = propagate(node, x)
    parts = apart(layer, x)
    budget = Budget(IntDomain(-3, 5), IntDomain(-60, 60), 127, parts)
    rounded, bias, scale = round_layer(layer.weight, layer.bias, 1.0, budget)
    y, _ = propagate(replace(layer, weight=rounded, bias=bias), x)
    assert budget.target.issuperset(y.hull)
    coarse = round_layer(layer.weight, layer.bias, 1.0, replace(budget, parts=()))[2]
    if stride == taps == 2:  # each sum has one tap of four
        assert len(set(parts)) == 4
        assert scale > 1.5 * coarse
    if stride == 1:
        assert parts == ()


def test_where_everything_counts_there_is_one_part():
    x = Interval.full(IntDomain(0, 3), (2, 4, 4))
    assert apart(Conv2d(np.ones((1, 2, 3, 3)), np.zeros(1), 1, 1), x) == ()
    assert apart(Dense(np.ones((1, 3)), np.zeros(1)), Interval.full(IntDomain(0, 0), (3,))) == ()
    edge = x.lo * 0, np.pad(np.ones((2, 2, 2), np.int64), ((0, 0), (1, 1), (1, 1)))
    assert apart(Conv2d(np.ones((1, 2, 2, 2)), np.zeros(1)), Interval(*edge)) == ()  # inner sums have all taps


def test_windows_that_hold_one_value_among_zeros_do_not_multiply():
    """Where an image becomes larger between a layer and its activation, sums have all of their table."""
    nodes = [SumPool2d(2)]
    shape = Graph((2, 6, 6), tuple(nodes)).output_shape
    points = Points(2, 1, 0, 6)
    nearest(lambda node, _: nodes.append(node), None, shape, (points, points))
    assert by_ranges.ahead([*nodes, Activation("relu"), SumPool2d(3)], (2, 6, 6)) == (4, True)
    assert by_ranges.ahead([SumPool2d(3, 1, 1), Flatten()], (1, 9, 9)) == (9, False)


def network(activation):
    """Two channels of very different sizes, and a transposed convolution of them with a stride of two."""
    rng = np.random.default_rng(0)
    first = Conv2d(rng.normal(size=(2, 1, 3, 3)) * np.array([1.0, 0.05]).reshape(2, 1, 1, 1), np.zeros(2), 1, 1)
    body = spread(rng.normal(size=(2, 3, 3, 3)), np.zeros(3), 2, (2, 4, 4))
    last = Dense(rng.normal(size=(2, 243)) / 9, np.zeros(2))
    return Graph((1, 4, 4), (first, Activation(activation), *body, Activation(activation), Flatten(), last))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_tables_of_a_transposed_convolution_lose_less_than_with_the_worst_case_of_all_taps(activation, monkeypatch):
    graph, rng = network(activation), np.random.default_rng(1)
    x = rng.random((400, 1, 4, 4))
    logits = graph.logits(x)

    def errors():
        networks = integer_tables(graph, x, QuantConfig()), quantise(graph, calibrate(graph, x), QuantConfig())
        return np.array([np.square(net.real_logits(x) - logits).mean() for net in networks])

    ours = errors()
    for module in (tables, by_ranges):
        monkeypatch.setattr(module, "apart", lambda *_: ())
    assert (ours < errors()).all()


def test_channels_that_become_one_channel_have_one_scale():
    """A reshape that makes one channel of several: a scale of each would be lost."""
    rng = np.random.default_rng(0)
    first = Conv2d(rng.normal(size=(4, 1, 3, 3)) * np.array([1.0, 0.3, 0.1, 2.0]).reshape(4, 1, 1, 1), np.zeros(4))
    nodes = (first, Activation("relu"), Reshape((1, 4, 4)), Conv2d(rng.normal(size=(2, 1, 2, 2)), np.zeros(2)))
    graph, x = Graph((1, 4, 4), nodes), rng.random((300, 1, 4, 4))
    logits, network = graph.logits(x), integer_tables(graph, x, QuantConfig(8, 8, 12, 65537))
    assert np.sqrt(np.square(network.real_logits(x) - logits).mean() / logits.var()) < 0.1  # a few steps of it


def test_a_maximum_before_another_shape_is_refused_in_words():
    nodes = (Conv2d(np.ones((4, 2, 1, 2)), np.zeros(4)), MaxPool2d((1, 2), 1), Reshape((16,)))
    with pytest.raises(ValueError, match=r"a pooling by sums, got MaxPool2d.*use squares"):
        integer_tables(Graph((2, 1, 6), nodes), np.random.default_rng(0).normal(size=(20, 2, 1, 6)), QuantConfig())
