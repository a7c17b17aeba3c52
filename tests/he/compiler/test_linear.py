"""Sparse linear maps against the matrices that the layers themselves give, and their limit on terms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError
from he.compiler import linear
from he.compiler.linear import LinearMap, linear_map
from intnn import Conv2d, Dense, Flatten, Graph, SumPool2d


def matrix(node, shape):
    """A node as a dense matrix and a bias, found by applying it to the unit vectors."""
    features = int(np.prod(shape))
    graph = Graph(shape, (node,))
    bias = graph.logits(np.zeros((1, *shape)))[0]
    without = replace(node, bias=np.zeros_like(node.bias)) if isinstance(node, Dense | Conv2d) else node
    return Graph(shape, (without,)).logits(np.eye(features).reshape(-1, *shape)).T, bias


@st.composite
def nodes(draw, shape):
    """A linear layer of whole numbers, some of them zero, for inputs of this shape."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def whole(*size):
        return rng.integers(-3, 4, size).astype(float)

    if len(shape) == 1:
        outputs = draw(st.integers(1, 5))
        return Dense(whole(outputs, *shape), whole(outputs))
    channels, height, width = shape
    kind = draw(st.sampled_from(["conv", "pool", "flatten"]))
    if kind == "flatten":
        return Flatten()
    if kind == "pool":
        size = draw(st.integers(1, min(height, width)))
        return SumPool2d(size, draw(st.none() | st.integers(1, 3)))
    padding = draw(st.integers(0, 2))
    rows, columns = (draw(st.integers(1, min(side + 2 * padding, 4))) for side in (height, width))
    maps = draw(st.integers(1, 3))
    return Conv2d(whole(maps, channels, rows, columns), whole(maps), draw(st.integers(1, 3)), padding)


@st.composite
def chains(draw):
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)))
    first = draw(nodes(shape))
    return shape, first, draw(nodes(first.output_shape(shape)))


@settings(max_examples=150)
@given(chains())
def test_maps_and_their_compositions_are_the_layers_matrices(chain):
    shape, first, second = chain
    inner, outer = linear_map(first, shape), linear_map(second, first.output_shape(shape))
    expected, bias = matrix(first, shape)
    assert np.array_equal(inner.weight, expected)
    assert np.array_equal(inner.bias, bias)
    both = inner.then(outer)
    outside, outer_bias = matrix(second, first.output_shape(shape))
    assert np.array_equal(both.weight, outside @ expected)
    assert np.array_equal(both.bias, outside @ bias + outer_bias)
    assert np.array_equal(both.support, outer.support.astype(int) @ inner.support.astype(int) > 0)
    for made in (inner, outer, both):
        assert all(np.all(np.diff(made.columns[made.row(i)]) > 0) for i in range(made.outputs))
        x = np.arange(1.0, made.inputs + 1)
        assert np.array_equal(made.times(x), made.weight @ x)


@settings(max_examples=50)
@given(chains(), st.integers(0, 2**32 - 1))
def test_terms_can_be_left_out(chain, seed):
    shape, first, _ = chain
    whole = linear_map(first, shape)
    kept = np.random.default_rng(seed).random(len(whole.columns)) < 0.5
    part = whole.where(kept)
    expected = whole.weight
    expected[whole.rows[~kept], whole.columns[~kept]] = 0
    assert np.array_equal(part.weight, expected)
    assert part.support.sum() == kept.sum()


def test_a_map_may_have_no_terms():
    """A kernel that sees nothing but padding."""
    empty = linear_map(Conv2d(np.ones((1, 1, 1, 1)), np.ones(1), stride=9, padding=1), (1, 1, 1))
    assert (empty.support.any(), empty.bias.tolist()) == (False, [1.0])
    through = empty.then(LinearMap.identity(1))
    assert (through.support.any(), through.bias.tolist()) == (False, [1.0])


def test_a_large_convolution_takes_the_memory_of_its_terms():
    made = linear_map(Conv2d(np.ones((16, 3, 3, 3)), np.zeros(16), padding=1), (3, 32, 32))
    assert made.outputs == 16 * 32 * 32
    # Every row of pixels, and every column, is seen by three kernels, those at the border by two.
    assert len(made.columns) == 16 * 3 * (3 * 32 - 2) ** 2


@pytest.mark.parametrize(
    ("node", "shape", "terms"),
    [
        (Dense(np.ones((3, 4)), np.zeros(3)), (4,), 12),
        (Conv2d(np.ones((2, 1, 2, 2)), np.zeros(2)), (1, 3, 3), 32),
        (SumPool2d(2, 1), (3, 3, 3), 48),
    ],
)
def test_more_terms_than_the_limit_are_refused_before_they_are_made(node, shape, terms, monkeypatch):
    monkeypatch.setattr(linear, "MAX_TERMS", terms)
    assert len(linear_map(node, shape).columns) == terms
    monkeypatch.setattr(linear, "MAX_TERMS", terms - 1)
    with pytest.raises(ParameterError, match=f"at most {terms - 1} terms, got {terms}: make the layer"):
        linear_map(node, shape)


def test_so_are_those_of_a_composition(monkeypatch):
    monkeypatch.setattr(linear, "MAX_TERMS", 12)
    narrow, wide = Dense(np.ones((2, 4)), np.zeros(2)), Dense(np.ones((4, 2)), np.zeros(4))
    with pytest.raises(ParameterError, match="at most 12 terms, got 16"):
        linear_map(narrow, (4,)).then(linear_map(wide, (2,)))
