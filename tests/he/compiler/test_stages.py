from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from he.compiler.linear import LinearMap, linear_map
from he.compiler.stages import to_stages
from he.testing import inputs, polynomial_graphs, table_networks
from intnn import Activation, Conv2d, Dense, Flatten, Graph, LutActivation, SumPool2d


def evaluate(stages, x):
    """The stages on float64 rows, with the activations by their own definition."""
    y = x.reshape(len(x), -1).astype(np.float64)
    for stage in stages:
        if isinstance(stage, LinearMap):
            y = y @ stage.weight.T + stage.bias
        elif isinstance(stage, LutActivation):
            y = stage.lut(y.astype(np.int64)).astype(np.float64)
        else:
            y = stage.apply(y)
    return y


def assert_alternates(stages):
    assert isinstance(stages[0], LinearMap)
    assert not any(isinstance(a, LinearMap) and isinstance(b, LinearMap) for a, b in pairwise(stages))


@settings(max_examples=60)
@given(table_networks(1) | table_networks(2))
def test_integer_stages_equal_the_layers_exactly(network):
    x, stages = inputs(network, 5), to_stages(network.input_shape, network.layers)
    assert_alternates(stages)
    assert np.array_equal(evaluate(stages, x), network.logits(x))


@settings(max_examples=60)
@given(polynomial_graphs())
def test_float_stages_equal_the_layers(graph):
    x, stages = inputs(graph, 5), to_stages(graph.input_shape, graph.nodes)
    assert_alternates(stages)
    # Some hundred additions of values of the order of one to 1e4, in another order than the layers': float64 rounding.
    assert evaluate(stages, x) == pytest.approx(graph.logits(x), rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(polynomial_graphs())
def test_support_is_the_architectures_and_not_the_weights(graph):
    """Another training, zero weights included, connects the same units."""
    stages = to_stages(graph.input_shape, graph.nodes)
    emptied = [
        replace(node, weight=np.zeros_like(node.weight)) if isinstance(node, Dense | Conv2d) else node
        for node in graph.nodes
    ]
    for stage, empty in zip(stages, to_stages(graph.input_shape, emptied), strict=True):
        if isinstance(stage, LinearMap):
            assert not empty.weight.any()
            assert np.array_equal(stage.support, empty.support)
            assert stage.support[stage.weight != 0].all()


def test_support_of_a_convolution_counts_its_window_only():
    """3 x 3 windows of an image of 5 x 5 with padding 1: 4 taps in the corners, 6 at the sides, 9 inside."""
    linear = linear_map(Conv2d(np.zeros((2, 1, 3, 3)), np.zeros(2), padding=1), (1, 5, 5))
    taps = linear.support.sum(axis=1).reshape(2, 5, 5)
    row = [4, 6, 6, 6, 4]
    inner = [6, 9, 9, 9, 6]
    assert taps.tolist() == [[row, inner, inner, inner, row]] * 2


def test_neighbouring_linear_layers_become_one_map():
    nodes = (
        Conv2d(np.ones((1, 1, 2, 2)), np.ones(1)),
        SumPool2d(2),
        Flatten(),
        Dense(np.array([[2.0]]), np.array([-1.0])),
    )
    (only,) = to_stages((1, 3, 3), nodes)
    # 2 * sum over four windows of (sum + 1) - 1: the corner pixels are in one window, the centre in four.
    assert only.weight.tolist() == [[2, 4, 2, 4, 8, 4, 2, 4, 2]]
    assert only.bias.tolist() == [7]
    assert only.support.all()


def test_an_activation_at_the_front_acts_on_the_input():
    identity, square = to_stages((3,), (Activation("square"),))
    assert identity.weight.tolist() == identity.support.tolist() == np.eye(3).tolist()
    assert square == Activation("square")


def test_a_small_weight_next_to_a_large_bias_keeps_its_digits():
    (only,) = to_stages((1,), (Dense(np.array([[1e-12]]), np.array([1e6])),))
    assert only.weight.tolist() == [[1e-12]]
    assert only.bias.tolist() == [1e6]
    assert Graph((1,), (Dense(only.weight, only.bias),)).forward(np.array([[1.0]])) == [[1e6 + 1e-12]]
