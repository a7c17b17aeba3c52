"""Float networks of squares as integer ones."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from intnn import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntPolynomial,
    MaxPool2d,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.ops import numpy_
from intnn.quantisation.squares import integer_squares

SQUARE = Activation("square")


@st.composite
def square_graphs(draw):
    """Residual networks of convolutions, scalings, pools and polynomials of degree 2, with features at the end."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def floats(*shape):
        return rng.normal(size=shape)

    def scale(channels):
        count = draw(st.sampled_from([1, channels]))
        return Scale(np.exp(floats(count)) * rng.choice([-1, 1], count), draw(st.sampled_from([0, 1])) * floats(count))

    def polynomial():
        c0, c1, c2 = draw(st.sampled_from([(0, 0, 1), (0.5, -1, 0.25), (0, 2, -0.5), (1, 2, 0), (0.3, 0, 0)]))
        return SQUARE if (c0, c1, c2) == (0, 0, 1) else Activation("polynomial", (c0, c1, c2))

    nodes, inputs = [], []

    def append(node, *reads):
        nodes.append(node)
        inputs.append(reads)
        return len(nodes) - 1

    value = append(scale(2), -1) if draw(st.booleans()) else -1
    stem = append(Conv2d(floats(4, 2, 3, 3), floats(4), 1, 1, 1, 1), value)
    branch = append(polynomial(), stem)
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.integers(0, 3))
        if kind == 0:
            branch = append(scale(4), branch)
        elif kind == 1:
            branch = append(Conv2d(floats(4, 2, 3, 3) / 4, floats(4), 1, 1, 1, 2), branch)
        elif kind == 2:
            branch = append(SumPool2d(3, 1, 1), branch)
        else:
            branch = append(SQUARE, append(Conv2d(floats(4, 4, 1, 1) / 4, floats(4)), branch))
    joined = draw(st.sampled_from(["add", "twice", "concatenate", "none"]))
    if joined == "add":
        branch = append(Add(), branch, stem)
    elif joined == "twice":
        branch = append(Add(), branch, branch)
    elif joined == "concatenate":
        branch = append(Concatenate(), branch, stem)
    elif branch != stem:
        branch = append(Add(), branch, append(Conv2d(floats(4, 4, 1, 1), floats(4)), stem))
    pooled = append(SumPool2d(2), branch)
    channels = 8 if joined == "concatenate" else 4
    vector = append(Flatten(), pooled)
    end = draw(st.sampled_from(["dense", "square", "image", "nothing"]))
    if end == "dense":
        append(Dense(floats(3, 4 * channels), floats(3)), vector)
    elif end == "square":
        append(polynomial(), append(Dense(floats(3, 4 * channels), floats(3)), vector))
    elif end == "image":
        append(Conv2d(floats(2, 4, 2, 2), floats(2)), append(Reshape((4, 2, channels // 2)), vector))
    return Graph((2, 4, 4), tuple(nodes), "residual", {"origin": "test"}, tuple(inputs))


@settings(max_examples=60, deadline=None)
@given(square_graphs(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, -1.0]))
def test_with_many_bits_the_integers_are_the_floats(graph, seed, low):
    squares = [
        node for node in graph.nodes if isinstance(node, Activation) and (node == SQUARE or node.coefficients[2])
    ]
    assume(squares)  # networks without one are held to int64
    x = np.random.default_rng(seed).uniform(low, 1.0, (40, 2, 4, 4))
    network = integer_squares(graph, x, 12, 14)
    integers = network.quantise_input(x[:5])
    logits = network.logits(integers)
    assert (network.logits(integers, "reference") == logits).all()
    assert network.intervals[-1].contains(logits.reshape(-1, *network.output_shape))
    wanted, given_back = graph.logits(x[:5]), network.real_logits(x[:5])
    # A multiple of two units is right to 1 / 8 of a weight's step, and the rest nearly to float32's precision.
    spread = np.abs(graph.logits(x)).max() + sum(np.abs(value).max() for value in graph.values(x)) * 1e-2
    assert np.abs(given_back - wanted).max() <= 2e-3 * spread
    assert network.metadata["origin"] == "test"
    assert network.output_shape == graph.output_shape


def dense_squares(rng, *widths):
    nodes = []
    for width, out in pairwise(widths):
        nodes += [Dense(rng.normal(size=(out, width)) / np.sqrt(width), rng.normal(size=out) / 4), SQUARE]
    return Graph((widths[0],), tuple(nodes[:-1]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(4, 8))
def test_weights_keep_to_their_bits_and_channels_to_scales_of_their_own(seed, input_bits, weight_bits):
    rng = np.random.default_rng(seed)
    graph = dense_squares(rng, 6, 5, 4, 3)
    x = rng.random((50, 6))
    network = integer_squares(graph, x, input_bits, weight_bits)
    largest = 2 ** (weight_bits - 1) - 1
    first, square, second, _, last = network.layers
    assert square == IntPolynomial((0, 0, 1))
    for layer in (first, second):  # every row fills its bits, whatever errors the others took from its largest weight
        assert (np.abs(layer.weight).max(axis=1) > largest / 2).all()
    assert all(np.abs(layer.weight).max() <= largest for layer in (first, second, last))
    assert network.input_domain.hi == 2**input_bits - 1


def test_bits_are_those_of_every_layer():
    rng = np.random.default_rng(0)
    graph = dense_squares(rng, 6, 5, 3)
    network = integer_squares(graph, rng.random((50, 6)), 2, (3, 7))
    assert [np.abs(network.layers[i].weight).max() for i in (0, 2)] == [3, 63]
    with pytest.raises(ValueError, match="`weight_bits` must be one number or one for each of 2 layers"):
        integer_squares(graph, rng.random((50, 6)), 2, (3, 7, 3))


def test_digits_keep_their_classes_at_few_bits():
    """A network of squares by ridge regression on random features; 4 bits of its first weights are enough."""
    x, y = load_digits(return_X_y=True)
    x = x / 16
    rng = np.random.default_rng(0)
    hidden = Dense(rng.normal(size=(64, 64)) / 4, rng.normal(size=64) / 4)
    rows = np.column_stack([hidden.apply(x, numpy_) ** 2, np.ones(len(x))])
    fit = np.linalg.solve(rows.T @ rows + 0.1 * np.eye(65), rows.T @ np.eye(10)[y]).T
    graph = Graph((64,), (hidden, SQUARE, Dense(fit[:, :-1].copy(), fit[:, -1].copy())))
    network = integer_squares(graph, x[::2], 3, (4, 6))
    held = x[1::2]
    agreement = (network.predict(network.quantise_input(held)) == graph.predict(held)).mean()
    assert agreement > 0.96
    assert network.intervals[-1].magnitude < 2**27


def test_five_squares_in_a_row_are_exact_and_more_than_floats_can_scale_are_refused():
    rng = np.random.default_rng(1)
    graph = dense_squares(rng, 3, 3, 3, 3, 3, 3, 2)
    x = rng.random((20, 3))
    network = integer_squares(graph, x, 2, 4)
    assert network.accumulator_bound > 1 << 200
    integers = network.quantise_input(x)
    assert (network.logits(integers) == network.logits(integers, "reference")).all()
    deep = dense_squares(rng, *[3] * 9)
    with pytest.raises(ValueError, match=r"`graph.nodes\[\d+\]` must have fewer squares before it"):
        integer_squares(deep, x, 2, 4)


def test_features_have_ranges_of_their_own_where_asked():
    rng = np.random.default_rng(2)
    size = np.array([1000.0, 1.0, 0.001, 1.0])
    x = rng.random((100, 4)) * size + 5 * size
    x[:, 3] = 7.0  # never varies
    graph = Graph(
        (4,), (Dense(rng.normal(size=(5, 4)) / size, np.zeros(5)), SQUARE, Dense(rng.normal(size=(3, 5)), np.zeros(3)))
    )
    one, each = (integer_squares(graph, x, 6, 10, by_feature=by) for by in (False, True))
    wanted = graph.logits(x)
    errors = [np.abs(network.real_logits(x) - wanted).max() for network in (one, each)]
    assert errors[1] < 0.05 * errors[0]
    assert (each.quantise_input(x) >= 0).all()
    assert each.quantise_input(x).max(axis=0).tolist() == [63, 63, 63, 0]
    with pytest.warns(UserWarning, match="far outside the ranges"):
        assert each.quantise_input(x * 2).max() == 63  # saturated
    with pytest.raises(ValueError, match="make integers of them by `quantise_input`"):
        each.require_one_scale()
    image = Graph((1, 2, 2), (Conv2d(np.ones((1, 1, 2, 2)), np.zeros(1)),))
    with pytest.raises(ValueError, match="`by_feature` must be False for images"):
        integer_squares(image, np.ones((3, 1, 2, 2)), by_feature=True)


def test_rows_and_inputs_of_zeros_have_a_scale_all_the_same():
    graph = Graph((2,), (Dense(np.zeros((3, 2)), np.array([0.0, 2.0, -3.0])), SQUARE, Dense(np.eye(3), np.zeros(3))))
    for x in (np.zeros((10, 2)), np.ones((10, 2))):
        network = integer_squares(graph, x, 2, 5)
        assert np.allclose(network.real_logits(x), [[0.0, 4.0, 9.0]], atol=0.3)
    nothing = Graph((2,), (Dense(np.zeros((2, 2)), np.zeros(2)),))
    assert not integer_squares(nothing, np.ones((4, 2))).logits([[1, 1]]).any()


def test_a_factor_alone_is_a_network():
    network = integer_squares(Graph((2,), (Scale(np.array([2.0]), np.array([0.0])),)), np.array([[0.5, 1.0]]))
    assert np.allclose(network.real_logits(np.array([[1.0, 0.0]])), [[2.0, 0.0]])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Activation("relu"), r"`graph.nodes\[0\]` must be linear, a sum or a square .*approximate\(graph"),
        (MaxPool2d(2), r"`graph.nodes\[0\]` must be linear"),
        (Activation("polynomial", (0.0, 1.0, 1.0, 1.0)), r"`graph.nodes\[0\]` must have a degree of 2 at most"),
    ],
)
def test_what_has_no_square_is_refused(node, message):
    with pytest.raises(ValueError, match=message):
        integer_squares(Graph((1, 2, 2), (node, Flatten())), np.ones((3, 1, 2, 2)))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.full((3, 2), np.nan), "`samples` must be finite"),
        (np.empty((0, 2)), "`samples` must hold at least one row"),
        (np.ones((3, 4)), r"`samples` must have shape \(batch, 2\)"),
    ],
)
def test_bad_samples_are_refused(samples, message):
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)),))
    with pytest.raises(ValueError, match=message):
        integer_squares(graph, samples)


def test_a_constant_channel_beside_others_leaves_them_as_they_are():
    """In one unit, a constant of 1 meets squares of 2**-200: the former alone is multiplied."""
    rng = np.random.default_rng(0)
    nodes = (Conv2d(rng.normal(size=(2, 1, 2, 2)), rng.normal(size=2)), SQUARE,
             Conv2d(rng.normal(size=(2, 2, 2, 2)) / 8, rng.normal(size=2)), SQUARE, Scale([0.0, 1.0], [1.0, 0.0]),
             Reshape((1, 2, 4)), Conv2d(rng.normal(size=(1, 1, 2, 2)), np.zeros(1)))  # fmt: skip
    graph, x = Graph((1, 4, 4), nodes), rng.random((50, 1, 4, 4))
    network = integer_squares(graph, x, input_bits=16, weight_bits=20)
    np.testing.assert_allclose(network.real_logits(x), graph.logits(x), rtol=1e-3, atol=1e-3)


def test_a_constant_channel_leaves_the_weights_of_others_where_a_border_is_padded():
    """Its column was the largest of the next layer by far, in whose unit all other weights were rounded to nothing."""
    rng = np.random.default_rng(0)
    nodes = (Conv2d(rng.normal(size=(2, 1, 2, 2)), rng.normal(size=2)), SQUARE, Scale([0.0, 1.0], [0.3, 0.1]),
             Conv2d(rng.normal(size=(1, 2, 3, 3)), np.zeros(1), 1, 1))  # fmt: skip
    graph, x = Graph((1, 4, 4), nodes), rng.random((50, 1, 4, 4))
    network = integer_squares(graph, x, input_bits=8, weight_bits=8)
    error = np.abs(network.real_logits(x) - graph.logits(x)).max()
    assert error < 0.05 * np.ptp(graph.logits(x))  # weights of 8 bits, behind inputs of 8 bits
