"""Networks with branches: what reads what, shapes, values and worst cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    IntNetwork,
    IntPolynomial,
    Lut,
    LutActivation,
    MaxPool2d,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.testing import backends_agree, nothing_overflows

RNG = np.random.default_rng


def residual(weights: np.ndarray, kind: type = np.int64) -> tuple[tuple, tuple]:
    """x -> concatenate(square(W x) + x, W x), then a sum of all."""
    n = len(weights)
    square = IntPolynomial((0, 0, 1)) if kind is np.int64 else Activation("square")
    nodes = (
        Dense(weights.astype(kind), np.ones(n, kind)),
        square,
        Add(),
        Concatenate(),
        Dense(np.ones((1, 2 * n), kind), np.zeros(1, kind)),
    )
    return nodes, ((-1,), (0,), (1, -1), (2, 0), (3,))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_residual_network_computes_what_it_says(seed, n):
    rng = RNG(seed)
    weights = rng.integers(-3, 4, (n, n))
    layers, inputs = residual(weights)
    network = IntNetwork((n,), IntDomain(-4, 4), layers, inputs=inputs)
    x = rng.integers(-4, 5, (5, n))
    hidden = x @ weights.T + 1
    expected = (hidden**2 + x).sum(1) + hidden.sum(1)
    assert (network.logits(x)[:, 0] == expected).all()
    nodes, _ = residual(weights, np.float64)
    assert np.allclose(Graph((n,), nodes, inputs=inputs).logits(x.astype(float))[:, 0], expected)
    backends_agree(network, x, ("reference", "numpy", "numba"))
    nothing_overflows(network, np.stack([np.full(n, -4), np.full(n, 4)]))
    assert network.compiled is None


def test_documents_keep_branches(tmp_path):
    nodes, inputs = residual(np.eye(2), np.float64)
    graph = Graph((2,), nodes, inputs=inputs)
    graph.save(tmp_path / "g.npz")
    again = Graph.load(tmp_path / "g.npz")
    assert again.inputs == inputs
    assert again.fingerprint == graph.fingerprint
    layers, inputs = residual(np.eye(2, dtype=int))
    network = IntNetwork((2,), IntDomain(0, 1), layers, inputs=inputs)
    network.save(tmp_path / "n.json")
    assert IntNetwork.load(tmp_path / "n.json").inputs == inputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (((-1,), (0,)), "must have an entry for each of 5 nodes"),
        (((-1,), (1,), (1, -1), (2, 0), (3,)), r"`inputs\[1\]` must lie in \[-1, 0\]"),
        (((-1,), (0,), (1,), (2, 0), (3,)), r"`inputs\[2\]` must name two values or more"),
        (((-1,), (0, -1), (1, -1), (2, 0), (3,)), r"`inputs\[1\]` must name one value"),
        (((-1,), (-1,), (1, -1), (2, 1), (3,)), r"`nodes\[0\]` must be read by a later node"),
        ((), r"`inputs\[2\]` must name two values"),
    ],
)
def test_what_is_no_order(inputs, message):
    nodes, _ = residual(np.eye(2), np.float64)
    with pytest.raises(ValueError, match=message):
        Graph((2,), nodes, inputs=inputs)


def test_chains_are_chains():
    nodes = (Dense(np.eye(2), np.zeros(2)), Activation("relu"))
    graph = Graph((2,), nodes, inputs=((-1,), (0,)))
    assert graph.is_chain
    assert graph.inputs == ()
    assert graph.chain == nodes
    with pytest.raises(TypeError, match="`nodes` must be a chain"):
        _ = Graph((2,), residual(np.eye(2), np.float64)[0], inputs=residual(np.eye(2))[1]).chain


def test_polynomials_may_be_larger_than_int64_and_stay_exact():
    square = IntPolynomial((0, 0, 1))
    layers = (
        Dense(np.full((1, 1), 1000), np.zeros(1, int)),
        *(square,) * 4,
        Dense(-np.ones((2, 1), int), np.ones(2, int)),
    )
    network = IntNetwork((1,), IntDomain(-9, 9), layers)
    assert network.accumulator_bound == 9000**16 + 1
    assert network.logits(np.array([[9], [-2]])).tolist() == [[1 - 9000**16] * 2, [1 - 2000**16] * 2]
    assert network.predict(np.array([[9]])).tolist() == [0]
    with pytest.raises(ValueError, match=r"`layers\[5\]` must have a table whose domain contains \[0, "):
        IntNetwork((1,), IntDomain(-9, 9), (*layers[:5], LutActivation(Lut(IntDomain(0, 1), np.zeros(2, int)))))
    with pytest.raises(ValueError, match="below 2\\*\\*63"):
        IntNetwork((1,), IntDomain(-9, 9), (Dense(np.full((1, 1), 2**60), np.zeros(1, int)),))


@settings(max_examples=25)
@given(st.data())
def test_any_convolution_is_the_sum_over_its_windows(data):
    draw = data.draw
    groups, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    size, stride, dilation = ((draw(st.integers(1, 2)), draw(st.integers(1, 3))) for _ in range(3))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    rng = RNG(draw(st.integers(0, 99)))
    weight = rng.integers(-3, 4, (outputs * groups, inputs, *size))
    node = Conv2d(weight, rng.integers(-3, 4, outputs * groups), stride, padding, dilation, groups)
    shape = (inputs * groups, 7, 8)
    x = rng.integers(-3, 4, (2, *shape))
    network = IntNetwork(shape, IntDomain(-3, 3), (node,))
    y = network.logits(x).reshape(2, *network.output_shape)
    top, _, left, _ = node.borders
    padded = np.pad(x, ((0, 0), (0, 0), padding[:2], padding[2:]))
    assert top == padding[0]
    assert left == padding[2]
    for o in range(len(weight)):
        channels = slice((o // outputs) * inputs, (o // outputs + 1) * inputs)
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                rows = i * node.strides[0] + node.dilations[0] * np.arange(size[0])
                columns = j * node.strides[1] + node.dilations[1] * np.arange(size[1])
                window = padded[:, channels][:, :, rows][:, :, :, columns]
                assert (y[:, o, i, j] == (window * weight[o]).sum((1, 2, 3)) + node.bias[o]).all()
    backends_agree(network, x, ("reference", "numpy", "numba"))
    nothing_overflows(network, x)


def test_pools_of_any_shape():
    x = np.arange(2 * 1 * 4 * 5, dtype=float).reshape(2, 1, 4, 5)
    pool = SumPool2d((2, 3), (2, 1), (0, 1, 1, 0))
    y = Graph((1, 4, 5), (pool,)).forward(x)
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert y.shape == (2, 1, 2, 4)
    assert y[1, 0, 1, 3] == padded[1, 0, 2:4, 3:6].sum()
    largest = Graph((1, 4, 5), (MaxPool2d(3, 2, 1),)).forward(-1 - x)
    assert largest[0, 0].tolist() == [[-1, -2, -4], [-6, -7, -9]]


def test_scales_and_shapes():
    graph = Graph((2, 2), (Scale(np.array([2.0, 3.0]), np.array([1.0, 0.0])), Reshape((1, 4)), Flatten()))
    assert graph.logits(np.ones((1, 2, 2))).tolist() == [[3.0, 3.0, 3.0, 3.0]]
    with pytest.raises(ValueError, match="must have an input of 2 channels"):
        Graph((3,), (Scale(np.ones(2), np.ones(2)),))
    with pytest.raises(ValueError, match="must have an input of 4 elements"):
        Graph((3,), (Reshape((2, 2)),))


@pytest.mark.parametrize(
    "name",
    [
        "gelu",
        "gelu_tanh",
        "silu",
        "softplus",
        "mish",
        "softsign",
        "elu",
        "leaky_relu",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
    ],
)
def test_activations_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    parameters = {"elu": (1.5,), "leaky_relu": (0.1,), "hardtanh": (-0.5, 2.0)}.get(name, ())
    kind = {"gelu_tanh": "gelu"}.get(name, name)
    options = {"approximate": "tanh"} if name == "gelu_tanh" else {}
    x = np.concatenate([np.linspace(-9, 9, 97), [-1e6, 1e6]])
    function = getattr(torch.nn.functional, kind)
    theirs = function(torch.from_numpy(x), *parameters, **options).numpy()
    assert np.allclose(Activation(name, parameters).apply(x), theirs, rtol=1e-12, atol=1e-14)
