"""Torch modules that give what the integer and float networks give, with gradients that lead somewhere."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intnn import Activation, Dense, Flatten, Graph, IntDomain, IntNetwork, Lut, LutActivation, SumPool2d
from intnn.layers.nodes import Add, Concatenate, Conv2d, IntPolynomial, Requantise, Reshape, Scale
from intnn.testing import float_graphs, int_networks
from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import cross_entropy, margin
from plaintext_models.bridge.export import to_graph
from plaintext_models.bridge.twin import float_twin, integer_oracle, integer_target, straight_through
from plaintext_models.zoo import shipped
from tests.plaintext_models.bridge.architectures import random_modules, taken

TABLES = ("digits-table-mlp", "digits-table-cnn")
RADIUS = 0.2


def require_equal(network, images):
    """The integers, value by value, of a module that can be differentiated."""
    logits = straight_through(network)(torch.from_numpy(images))
    assert np.array_equal(logits.numpy(), network.logits(network.quantise_input(images)))
    assert torch.equal(logits, integer_oracle(network).logits(torch.from_numpy(images)))
    return logits


def dense(*rows, bias=None):
    return Dense(np.array(rows), np.zeros(len(rows), int) if bias is None else np.array(bias))


@st.composite
def float_images(draw, shape):
    """Some of them beyond [0, 1], and halves among them, which the quantisation rounds up."""
    images = np.random.default_rng(draw(st.integers(0, 2**32))).uniform(-2, 3, (draw(st.integers(1, 4)), *shape))
    grid = draw(st.sampled_from((0, 2, 16)))
    return (np.round(images * grid) / grid if grid else images).astype(draw(st.sampled_from((np.float32, np.float64))))


@pytest.mark.filterwarnings("ignore:.*inputs .* for which the network was made")  # which saturate, as they should
@settings(max_examples=150)
@given(st.data())
def test_the_forward_is_exact(data):
    network = data.draw(int_networks(value_bound=1 << 53))
    images = data.draw(float_images(network.input_shape))
    logits = require_equal(network, images)
    wide = network.ranges[-1].magnitude > 1 << 24
    assert logits.dtype == (torch.float64 if wide else torch.from_numpy(images).dtype)
    leaf = torch.from_numpy(images).requires_grad_()
    (gradient,) = torch.autograd.grad(straight_through(network)(leaf).sum(), leaf)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", TABLES)
def test_the_forward_of_shipped_networks_is_exact(digits, name):
    assert require_equal(shipped.load(name), digits.test_images).dtype == torch.float32


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(0, 62), st.booleans())
def test_rescalings_are_exact(seed, shift, channels):
    rng = np.random.default_rng(seed)
    largest = 2 ** min(shift + 4, 50)
    multiplier = rng.integers(-largest, largest, 2 if channels else 1)
    nodes = (Conv2d(rng.integers(-9, 10, (2, 1, 2, 2)), rng.integers(-9, 10, 2)), Requantise(
        multiplier, shift, IntDomain(-20, 30)))  # fmt: skip
    network = IntNetwork((1, 3, 3), IntDomain(-4, 4), nodes, 4.0)
    require_equal(network, rng.uniform(-1.5, 1.5, (20, 1, 3, 3)))


def test_logits_that_float32_cannot_hold_come_as_float64():
    network = IntNetwork((1,), IntDomain(0, 3), (dense([2**24 + 1], [2**40 - 1]),), 3.0)
    assert require_equal(network, np.float32([[1 / 3]])).dtype == torch.float64


def test_sums_that_float64_cannot_hold_are_refused():
    network = IntNetwork((2,), IntDomain(0, 1), (dense([2**53, 2**53 - 1], [0, 1]),))
    for wrap in (straight_through, integer_target, integer_oracle):
        with pytest.raises(ValueError, match=r"2\*\*53 to be exact in float64, got 18014398509481983"):
            wrap(network)
    products = IntNetwork((1,), IntDomain(0, 3), (Requantise(np.array(2**60 + 1), 60, IntDomain(0, 3)),), 3.0)
    require_equal(products, np.linspace(0, 1, 20)[:, None])


def slope(network, image):
    leaf = torch.tensor([image]).requires_grad_()
    return torch.autograd.grad(straight_through(network)(leaf).sum(), leaf)[0].tolist()[0]


def test_slopes():
    line = IntNetwork((2,), IntDomain(0, 3), (dense([5, -7]),), 3.0)
    assert slope(line, [0.2, 0.7]) == [15, -21]
    # where a value is rounded into the domain the line goes on, beyond it is flat
    assert slope(line, [-0.1, 1.1]) == [15, -21]
    assert slope(line, [-0.2, 1.2]) == [0, 0]
    halves = IntNetwork((2,), IntDomain(0, 9), (Requantise(np.array([3, 1]), 2, IntDomain(0, 4)),), 9.0)
    assert slope(halves, [0.5, 0.5]) == [9 * 0.75, 9 * 0.25]
    assert slope(halves, [1.0, 1.0]) == [0, 9 * 0.25]
    # 33 points, so two to either side; fewer at the ends
    square = Lut.from_callable(lambda x: x * x, IntDomain(-16, 16))
    table = IntNetwork((1,), IntDomain(-16, 16), (LutActivation(square),))
    assert [slope(table, [float(x)]) for x in (-16, -15, 0, 3, 16)] == [[-30], [-29], [0], [6], [30]]
    single = IntNetwork((1,), IntDomain(2, 2), (LutActivation(Lut(IntDomain(2, 2), np.array([5]))),))
    assert slope(single, [2.0]) == [0]


@pytest.mark.parametrize("name", TABLES)
def test_a_white_box_keeps_the_order_of_the_logits_and_has_slopes(held_out, name):
    network, (images, labels) = shipped.load(name), held_out
    target, integers = integer_target(network), integer_oracle(network).logits(images)
    target.check(images, labels)
    ratio = (integers / target.logits(images)).unique()
    assert len(ratio[ratio.isfinite()]) == 1
    assert 1 <= float(target.logits(images).std()) <= 8  # what a softmax can work with
    for loss in (cross_entropy, margin):
        gradient, _ = target.gradient(images, lambda logits, loss=loss: loss(logits, labels))
        assert (gradient.flatten(1).abs().amax(1) > 0).all()
    raw = straight_through(network)
    leaf = images.clone().requires_grad_()
    (masked,) = torch.autograd.grad(cross_entropy(raw(leaf), labels).sum(), leaf)
    assert (masked.flatten(1) == 0).all(1).double().mean() > 0.9


def ascend(target, images, labels, steps=10):
    """Projected gradient ascent in the Linf ball."""
    now = images
    for _ in range(steps):
        gradient, _ = target.gradient(now, lambda logits: margin(logits, labels))
        now = (now + RADIUS / 4 * gradient.sign() - images).clamp(-RADIUS, RADIUS).add(images).clamp(0, 1)
    return now


@pytest.mark.parametrize("name", TABLES)
def test_gradients_lead_to_adversarial_images(held_out, name):
    network, (images, labels) = shipped.load(name), held_out
    oracle, goal = integer_oracle(network), Goal(labels)
    fooled = goal.reached(oracle.logits(ascend(integer_target(network), images, labels)))
    noise = random_noise(oracle, images, goal, Ball("linf", RADIUS), draws=10)
    queried = square(oracle, images, goal, Ball("linf", RADIUS), steps=200)
    rates = [float(found.double().mean()) for found in (noise.success, queried.success, fooled)]
    assert rates[0] <= 0.3
    assert rates[1] >= 0.7
    assert rates[2] >= 0.9


def test_an_oracle_has_no_gradients(held_out):
    with pytest.raises(TypeError, match="answers queries only"):
        integer_oracle(shipped.load(TABLES[0])).gradient(held_out[0], lambda logits: logits[:, 0])


@settings(max_examples=100)
@given(st.data())
def test_a_twin_gives_what_its_graph_gives(data):
    graph = data.draw(float_graphs())
    twin, state = float_twin(graph), torch.get_rng_state()
    images = np.random.default_rng(data.draw(st.integers(0, 2**32))).uniform(0, 1, (3, *graph.input_shape))
    logits = twin(torch.from_numpy(images))
    expected = graph.logits(images)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9 * max(1, np.abs(expected).max()))
    assert torch.equal(float_twin(graph)(torch.from_numpy(images)), logits)
    assert torch.equal(torch.get_rng_state(), state)
    assert twin(torch.from_numpy(images).float()).dtype == torch.float32


@settings(max_examples=15)  # torch takes a tenth of a second to trace a module
@given(float_graphs())
def test_a_twin_is_exported_as_the_graph_that_it_comes_from(graph):
    assume(not any(isinstance(node, Activation) and node.name == "polynomial" for node in graph.nodes))
    assert to_graph(float_twin(graph), graph.input_shape, graph.name, **graph.metadata).fingerprint == graph.fingerprint


@settings(max_examples=25)
@given(random_modules(), st.integers(0, 99))
def test_twins_of_graphs_with_branches_and_every_node(network, seed):
    module, shape = network
    graph = taken(module, torch.zeros(1, *shape))
    images = np.random.default_rng(seed).normal(size=(3, *shape))
    expected, twin = graph.logits(images), float_twin(graph)
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(twin(torch.from_numpy(images)), expected, rtol=1e-9, atol=1e-9 * largest)
    again = to_graph(twin, shape).logits(images)
    np.testing.assert_allclose(again, expected, rtol=1e-9, atol=1e-9 * largest)


def test_integer_networks_with_branches_and_polynomials_are_exact():
    rng = np.random.default_rng(0)
    weight, bias = rng.integers(-4, 5, (4, 1, 3, 3)), rng.integers(-9, 9, 4)
    layers = (
        Conv2d(weight, bias, (1, 2), (1, 1, 0, 1), 1), IntPolynomial((1, -2, 3)), Conv2d(weight, bias, 1, 1, 1, 4),
        Add(), Concatenate(), Scale(np.arange(1, 9), np.arange(8)), SumPool2d((2, 1), 1, (0, 1, 0, 0)),
        Reshape((8 * 6, 3)), Flatten(), dense(*rng.integers(-3, 4, (2, 8 * 6 * 3))),
    )  # fmt: skip
    sources = ((-1,), (0,), (1,), (1, 2), (3, 0), (4,), (5,), (6,), (7,), (8,))
    network = IntNetwork((1, 6, 6), IntDomain(-3, 3), layers, inputs=sources)
    images = rng.integers(-3, 4, (5, 1, 6, 6))
    logits = straight_through(network)(torch.from_numpy(images).double() / network.input_scale)
    assert np.array_equal(logits, network.logits(images))


def test_a_twin_has_the_gradient_of_its_graph():
    rng = np.random.default_rng(0)
    polynomial = Activation("polynomial", (0.5, -1.0, 0.25))
    nodes = (Conv2d(rng.normal(size=(2, 1, 2, 2)), rng.normal(size=2)), polynomial, SumPool2d(2), Flatten(),
             Dense(rng.normal(size=(3, 8)), np.zeros(3)), Activation("tanh"))  # fmt: skip
    images = torch.from_numpy(rng.uniform(size=(2, 1, 5, 5))).requires_grad_()
    assert torch.autograd.gradcheck(float_twin(Graph((1, 5, 5), nodes)), images)


def test_refuses():
    network = IntNetwork((1, 2, 3), IntDomain(0, 1), (Flatten(), dense([1] * 6)))
    for images in (torch.zeros(2, 1, 3, 2), torch.full((2, 1, 2, 3), torch.nan)):
        with pytest.raises(ValueError, match=r"`images` must be \[batch, \*\(1, 2, 3\)\] without NaN, got \(2, 1,"):
            straight_through(network)(images)


def test_a_network_of_scaled_floats_has_no_twin_that_rounds_raw_ones():
    layers = (Dense(np.eye(2, dtype=int), np.zeros(2, int)),)
    network = IntNetwork((2,), IntDomain(0, 255), layers, metadata={"scaling": "minmax"})
    with pytest.raises(ValueError, match="the network must have one scale for its input"):
        straight_through(network)
    with pytest.raises(ValueError, match="the network must have one scale for its input"):
        integer_oracle(network)


def test_the_network_of_the_other_kind_is_named():
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)),))
    network = IntNetwork((2,), IntDomain(0, 1), (Dense(np.eye(2, dtype=int), np.zeros(2, int)),))
    with pytest.raises(TypeError, match="`graph` must be a Graph, got IntNetwork"):
        float_twin(network)
    for twin in (straight_through, integer_target, integer_oracle):
        with pytest.raises(TypeError, match="`network` must be an IntNetwork, got Graph"):
            twin(graph)


@pytest.mark.parametrize("name", TABLES)
def test_twins_made_in_inference_mode_have_gradients(name):
    network = shipped.load(name)
    images = torch.rand(2, *network.input_shape)
    expected = integer_target(network).gradient(images, lambda logits: logits[:, 0])
    with torch.inference_mode():
        target = integer_target(network)
        assert random_noise(target, images.clone(), Goal([0, 1]), Ball("linf", 0.1)).x_adv.shape == images.shape
    assert all(map(torch.equal, target.gradient(images, lambda logits: logits[:, 0]), expected))


def test_a_float_twin_made_in_inference_mode_has_gradients():
    graph = Graph((2,), (Dense(np.array([[1.0, -2.0]]), np.zeros(1)), Activation("polynomial", (0.0, 1.0, 1.0))))
    with torch.inference_mode():
        twin = float_twin(graph)
    leaf = torch.ones(1, 2, requires_grad=True)
    twin(leaf).sum().backward()
    assert leaf.grad.tolist() == [[-1.0, 2.0]]
