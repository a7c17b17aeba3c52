"""Networks with units that reach equally far compute the same, and norms are bounds, rounded up to what says little."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import compile_approximate, simulate
from he.compiler import norms, ranges
from he.compiler.linear import LinearMap, linear_map
from he.compiler.norms import normalised, norms_of
from he.compiler.stages import to_stages
from he.testing import inputs, polynomial_graphs, square_graph
from intnn import Activation, Add, Conv2d, Dense, Graph, Reshape


def computed(stages, x):
    """The logits of inputs [batch, features]."""
    for stage in stages:
        if isinstance(stage, LinearMap):
            x = np.stack([stage.times(row) + stage.bias for row in x])
        else:
            coefficients = (0.0, 0.0, 1.0) if stage.name == "square" else stage.coefficients
            x = np.polynomial.polynomial.polyval(x, coefficients)
    return x


@settings(max_examples=60)
@given(polynomial_graphs(), st.sampled_from([(0.0, 1.0), (-1.0, 2.0)]))
def test_the_network_stays_the_same_and_units_before_squares_reach_equally_far(graph, ends):
    stages = to_stages(graph.input_shape, graph.nodes)
    other, found, _ = normalised(stages, *ends)
    x = inputs(graph, 5).reshape(5, -1)
    assert computed(other, x) == pytest.approx(computed(stages, x), rel=1e-9, abs=1e-9)
    assert sum(isinstance(stage, LinearMap) for stage in other) == len(found)
    reaches = np.broadcast_to(np.array(ends)[:, None], (2, stages[0].inputs))
    for (linear, activations), norm in zip(norms.layered(other), found, strict=True):
        reaches = ranges.image(linear, reaches)
        reach = np.abs(reaches).max(axis=0)
        assert reach.max() <= norm.magnitude * (1 + 1e-6)
        if linear is not norms.layered(other)[-1][0] and all(a.name == "square" for a in activations):
            assert reach[reach > 0] == pytest.approx(norm.magnitude)
        for activation in activations:
            reaches = ranges.activated(activation, reaches)


def test_all_layers_amplify_alike():
    rng = np.random.default_rng(0)
    graph = Graph(
        (8,),
        tuple(
            node
            for _ in range(3)
            for node in (Dense(1.25 * rng.normal(size=(8, 8)), np.zeros(8)), Activation("square"))
        )[:-1],
    )
    _, found, _ = normalised(to_stages(graph.input_shape, graph.nodes), 0.0, 1.0)
    first, second, third = (math.log2(norm.magnitude) for norm in found)
    assert first == pytest.approx(second - 2 * first, abs=1)
    assert first == pytest.approx(third - 2 * second, abs=2)
    assert first > 1


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_norms_are_bounds_and_powers_of_two(outputs, terms, rank, seed, large):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(outputs, rank)) @ rng.normal(size=(rank, terms))
    linear = linear_map(Dense(weight, rng.normal(size=outputs)), (terms,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(norms, "_LARGEST_GRAM", 0 if large else 64)  # 0: as if the matrix were too large to decompose
        found = norms_of(linear, 3.0)
    row, spectral = np.linalg.norm(weight, axis=1).max(), np.linalg.norm(weight, 2)
    assert row <= found.row * (1 + 1e-6) <= row * math.sqrt(2) * (1 + 1e-5)
    assert spectral <= found.spectral * (1 + 1e-6)
    if not large:
        assert found.spectral <= spectral * math.sqrt(2) * (1 + 1e-5)
    assert found.magnitude == math.sqrt(16)
    assert found.terms == terms
    for norm in (found.row, found.spectral, found.magnitude):
        assert 2 * math.log2(norm) == pytest.approx(round(2 * math.log2(norm)), abs=1e-9)


def test_a_layer_of_equal_weights_has_the_norm_that_it_has():
    """A power of two stays one, although it is computed with roundings."""
    linear = linear_map(Dense(np.full((64, 64), 1 / 64), np.zeros(64)), (64,))
    found = norms_of(linear, 1.0)
    assert (found.magnitude, found.row, found.spectral, found.terms) == (1.0, 1 / 8, 1.0, 64)
    assert (found.largest, found.column, found.outputs) == (1 / 64, 1 / 8, 64)


@settings(max_examples=40)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_neighbouring_outputs_of_a_packed_layer_are_within_its_norm_for_loose_errors(wide, narrow, rank, seed):
    """Whatever an error is in one copy and in the next, and wherever the outputs begin."""
    rng, width, n = np.random.default_rng(seed), 1 << max(wide, narrow), 1 << min(wide, narrow)
    weight = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width))
    bound = norms_of(linear_map(Dense(weight, np.zeros(n)), (width,)), 1.0).loose
    for first in range(width):
        reads = np.zeros((n, 2 * width))
        for i in range(n):
            for slot in range(i, i + width):
                reads[i, slot] = weight[(first + i) % n, (first + slot) % width]
        one, next_one = np.linalg.norm(reads[:, :width], 2), np.linalg.norm(reads[:, width:], 2)
        assert one + next_one <= bound * (1 + 1e-6)


def test_units_without_a_weight_are_left_alone():
    graph = square_graph()
    stages = to_stages(graph.input_shape, graph.nodes)
    stages[0].weights[stages[0].rows == 0] = 0.0
    stages[0].bias[0] = 0.0
    other, _, _ = normalised(stages, 0.0, 1.0)
    assert all(np.isfinite(stage.weights).all() for stage in other if isinstance(stage, LinearMap))


def test_a_branch_that_is_read_in_the_padding_alone_has_no_norm():
    """There was no matrix to decompose, and no diagonal: index errors."""
    one = np.ones((1, 1, 1, 1))
    beside, through = Conv2d(one, np.ones(1), 3, 1), Conv2d(one, np.ones(1))
    square = Activation("square")
    nodes = (Dense(np.eye(4), np.ones(4)), square, Reshape((1, 2, 2)), beside, through, square, Add())
    graph = Graph((4,), nodes, inputs=((-1,), (0,), (1,), (2,), (2,), (4,), (3, 5)))
    circuit = compile_approximate(graph, security="insecure")
    x = np.random.default_rng(0).random((1, 4))
    assert simulate(circuit, x) == pytest.approx(graph.logits(x))
    assert norms_of(linear_map(beside, (1, 2, 2)), 1.0).spectral == 0.0
