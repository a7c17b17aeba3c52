"""Scalings fold into the layers around them, and nothing else changes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.network.fold import fold_scales
from intnn.network.graph import Graph
from tests.intnn.network.builder import Builder

# Rounding of sums of a few dozen terms, and of a chain of layers whose weights are products of the given ones.
ROUNDING = {"rtol": 1e-10, "atol": 1e-10}


def folded(builder: Builder) -> Graph:
    """The folded graph, after it has been compared with the given one."""
    graph = builder.graph()
    result = fold_scales(graph)
    x = builder.rng.normal(size=(3, *builder.input_shape))
    np.testing.assert_allclose(result.forward(x), graph.forward(x), **ROUNDING)
    assert (result.name, result.metadata) == (graph.name, graph.metadata)
    assert fold_scales(result) is result
    return result


def scales(graph: Graph) -> int:
    return sum(isinstance(node, Scale) for node in graph.nodes)


@st.composite
def builders(draw: Any) -> Builder:
    """Networks with scalings anywhere: between layers of every kind, on branches and behind joins."""
    builder = Builder((2, 6, 6), draw(st.integers(0, 999)))
    steps = ["scale", "scale", "convolution", "pool", "activation", "residual", "concatenate", "reshape", "maximum"]
    for step in draw(st.lists(st.sampled_from(steps), max_size=7)):
        channels, height, width = builder.shape
        if step == "scale":
            builder.scale()
        elif step == "convolution" and min(height, width) >= 2:
            borders = draw(st.sampled_from([0, 1, (1, 0, 0, 1)]))
            groups = draw(st.sampled_from([g for g in (1, channels) if channels % g == 0]))
            builder.convolution(2 * groups, 2, borders, groups, stride=draw(st.sampled_from([1, (1, 2)])))
        elif step == "pool" and min(height, width) >= 2:
            builder.add(SumPool2d(2, draw(st.sampled_from([1, 2])), draw(st.sampled_from([0, 1]))))
        elif step == "maximum" and min(height, width) >= 2:
            builder.add(MaxPool2d(2, 1))
        elif step == "activation":
            builder.add(Activation("tanh"))
        elif step == "reshape":
            builder.add(Reshape((channels, width, height)))
        elif step in ("residual", "concatenate") and channels <= 8:
            start = builder.last
            if draw(st.booleans()):
                start = builder.scale()
            builder.convolution(channels, 1)
            branch = builder.scale() if draw(st.booleans()) else builder.last
            builder.add(Add() if step == "residual" else Concatenate(), *draw(st.permutations([start, branch])))
    builder.add(Flatten())
    if draw(st.booleans()):
        builder.scale()
    builder.dense(3)
    if draw(st.booleans()):
        builder.scale()
    return builder


@given(builders())
def test_a_folded_network_gives_the_same(builder: Builder) -> None:
    result = folded(builder)
    assert scales(result) <= scales(builder.graph())


@given(st.integers(0, 999))
def test_no_scaling_is_left_where_layers_are_linear_and_without_padding(seed: int) -> None:
    builder = Builder((2, 6, 6), seed)
    builder.scale()
    builder.convolution(4, 2, groups=2)
    builder.scale()
    builder.add(Activation("square"))
    builder.scale()
    builder.add(SumPool2d(2, 1))
    builder.add(Reshape((4, 2, 8)))
    builder.scale()
    builder.convolution(3, 2, stride=(1, 2), dilation=(1, 2))
    builder.add(Flatten())
    builder.scale()
    builder.dense(2)
    builder.scale()
    builder.scale()
    kinds = [type(node) for node in folded(builder).nodes]
    assert kinds == [Conv2d, Activation, SumPool2d, Reshape, Conv2d, Flatten, Dense]


def test_batch_normalisation_folds_into_the_convolution_of_a_residual_block() -> None:
    builder = Builder((2, 4, 4))
    builder.add(Activation("relu"))
    builder.convolution(2, padding=1)
    builder.scale()
    builder.add(Add(), 0, builder.last)
    assert scales(folded(builder)) == 0


def test_a_scaling_behind_a_join_goes_to_both_branches() -> None:
    for join in (Add(), Concatenate()):
        builder = Builder((2, 4, 4))
        first = builder.convolution(2, padding=1)
        second = builder.add(Conv2d(np.ones((2, 2, 1, 1)), np.ones(2)), -1)
        builder.add(join, first, second)
        builder.scale()
        builder.add(Activation("tanh"))
        assert scales(folded(builder)) == 0


def test_a_scaling_in_front_of_a_concatenation_goes_behind_it() -> None:
    builder = Builder((2, 4, 4))
    first = builder.add(Activation("tanh"), -1)
    builder.scale()
    builder.add(Concatenate(), first, builder.last)
    builder.convolution(2)
    assert scales(folded(builder)) == 0


def test_a_bias_does_not_move_through_padding_but_a_factor_does() -> None:
    for node in (Conv2d(np.ones((2, 2, 3, 3)), np.zeros(2), padding=1), SumPool2d(2, padding=1)):
        for bias, left in ((0.0, 0), (1.0, 1)):
            builder = Builder((2, 4, 4))
            builder.add(Activation("tanh"))
            builder.add(Scale(np.array([2.0, 3.0]), np.array([bias, 0.0])))
            builder.add(node)
            builder.convolution(2)
            assert scales(folded(builder)) == left


def test_what_something_else_reads_too_keeps_its_scaling() -> None:
    builder = Builder((2, 4, 4))
    builder.convolution(2, padding=1)
    builder.scale()
    builder.add(Activation("tanh"))
    builder.add(Add(), 0, builder.last)
    assert scales(folded(builder)) == 1


def test_a_value_that_is_added_to_itself_keeps_its_scaling() -> None:
    builder = Builder((3,))
    builder.dense(3)
    builder.add(Add(), 0, 0)
    builder.scale()
    assert scales(folded(builder)) == 1


def test_a_scaling_of_pixels_does_not_fold_into_channels() -> None:
    builder = Builder((1, 2, 2))
    builder.convolution(1, 1)
    builder.add(Flatten())
    builder.add(Scale(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4)))
    assert scales(folded(builder)) == 1


def test_a_scaling_that_changes_nothing_is_left_out_and_one_alone_stays() -> None:
    builder = Builder((3,))
    builder.add(Activation("tanh"))
    builder.add(Scale(np.ones(1), np.zeros(1)))
    assert scales(folded(builder)) == 0
    alone = Graph((3,), (Scale(np.ones(1), np.zeros(1)),))
    assert fold_scales(alone) is alone


def test_only_graphs_fold() -> None:
    with pytest.raises(TypeError, match="`graph` must be a Graph"):
        fold_scales("graph")  # type: ignore[arg-type]


def test_scalings_stay_where_no_float_holds_their_product() -> None:
    scales = [Scale(np.array([1e200]), np.zeros(1)), Scale(np.array([1e200]), np.zeros(1))]
    graph = Graph((2,), (*scales, Activation("tanh")))
    assert fold_scales(graph) is graph
