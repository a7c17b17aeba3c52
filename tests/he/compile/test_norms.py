"""Networks with units that reach up to 1 compute the same, and norms are bounds, rounded up to what says little."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compile import norms
from he.compile.linear import LinearMap, linear_map
from he.compile.norms import normalised, norms_of
from he.compile.stages import to_stages
from he.testing import inputs, polynomial_graphs, square_graph
from intnn import Activation, Dense


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
def test_the_network_stays_the_same_and_squared_units_reach_up_to_one(graph, ends):
    stages = to_stages(graph.input_shape, graph.nodes)
    other, found = normalised(stages, *ends)
    x = inputs(graph, 5).reshape(5, -1)
    assert computed(other, x) == pytest.approx(computed(stages, x), rel=1e-9, abs=1e-9)
    maps = [(number, stage) for number, stage in enumerate(other) if isinstance(stage, LinearMap)]
    assert len(maps) == len(found)
    for (number, stage), norm in zip(maps[:-1], found, strict=False):
        activation = other[number + 1]
        if isinstance(activation, Activation) and activation.name == "square" and stage.weights.any():
            assert norm.magnitude == 1


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
    assert norms_of(linear, 1.0) == norms.Norms(magnitude=1.0, row=1 / 8, spectral=1.0, terms=64)


def test_units_without_a_weight_are_left_alone():
    graph = square_graph()
    stages = to_stages(graph.input_shape, graph.nodes)
    stages[0].weights[stages[0].rows == 0] = 0.0
    stages[0].bias[0] = 0.0
    other, _ = normalised(stages, 0.0, 1.0)
    assert all(np.isfinite(stage.weights).all() for stage in other if isinstance(stage, LinearMap))
