"""Branches, places of units, and layers of several ciphertexts: the same function, however it is packed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError, compile_approximate, compile_exact, connect, simulate
from he.compiler.approximate import approximate_lowering
from he.compiler.arrange import Places, _diagonals, arranged
from he.compiler.diagonals import Diagonals
from he.compiler.exact import exact_lowering
from he.compiler.linear import Grid, LinearMap
from he.compiler.norms import normalised
from he.compiler.search import search
from he.compiler.stages import layered, to_stages
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
    Lut,
    LutActivation,
    Reshape,
    SumPool2d,
)
from intnn.convert.resampling import Side, transposed_convolution
from intnn.network.edges import INPUT


def evaluated(stages, x):
    """What the stages make of one flattened input."""
    values = {INPUT: x}
    for number, (linear, functions) in enumerate(layered(stages)):
        read = np.concatenate([values[layer] for layer in linear.reads])
        value = linear.times(read) + linear.bias
        for function in functions:
            value = function.apply(value[None])[0]
        values[number] = value
    return value


@st.composite
def branched(draw, activation, weights):
    """Nodes and sources of a small network of convolutions with branches, on images of one channel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def convolution(inputs, outputs, stride=1):
        return Conv2d(weights(rng, (outputs, inputs, 3, 3)), weights(rng, outputs), stride, 1)

    channels, joins = draw(st.integers(1, 2)), draw(st.booleans())
    nodes = [convolution(1, channels, draw(st.integers(1, 2))), activation(rng), convolution(channels, channels)]
    inputs = [(-1,), (0,), (1,)]
    if draw(st.booleans()):
        nodes.append(activation(rng))
        inputs.append((2,))
    nodes.append(Add() if joins else Concatenate())
    inputs.append((len(nodes) - 2, draw(st.sampled_from([0, 1]))))
    if draw(st.booleans()):
        nodes.append(convolution(channels if joins else 2 * channels, 2, draw(st.integers(1, 2))))
        inputs.append((len(nodes) - 2,))
    nodes.append(Flatten())
    inputs.append((len(nodes) - 2,))
    shape = (1, 6, 5)
    width = Graph(
        shape, tuple(node if hasattr(node, "join") else as_float(node) for node in nodes), inputs=tuple(inputs)
    )
    nodes.append(Dense(weights(rng, (3, width.output_shape[0])), weights(rng, 3)))
    inputs.append((len(nodes) - 2,))
    if draw(st.booleans()):  # the input itself, far behind
        nodes += [Flatten(), Dense(weights(rng, (3, 30)), weights(rng, 3)), Add()]
        inputs += [(-1,), (len(nodes) - 3,), (len(nodes) - 2, len(nodes) - 4)]
    return shape, tuple(nodes), tuple(inputs)


def as_float(node):
    if isinstance(node, LutActivation):
        return Activation("square")
    if not isinstance(node, Conv2d | Dense):
        return node
    return replace(node, weight=node.weight.astype(float), bias=node.bias.astype(float))


def graphs():
    square = lambda _: Activation("square")  # noqa: E731
    floats = branched(square, lambda rng, shape: rng.normal(size=shape) / 3)
    return floats.map(lambda parts: Graph(parts[0], parts[1], inputs=parts[2]))


def small_table(rng):
    domain = IntDomain(-800, 800)
    return LutActivation(Lut(domain, rng.integers(-1, 2, domain.size)))


def networks():
    integers = branched(small_table, lambda rng, shape: rng.integers(-1, 2, shape))
    return integers.map(lambda parts: IntNetwork(parts[0], IntDomain(0, 1), parts[1], inputs=parts[2]))


@given(graphs(), st.integers(0, 99), st.sampled_from([16, 64, 1 << 14]))
def test_stages_compute_what_the_graph_does(graph, seed, row):
    x = np.random.default_rng(seed).random((1, *graph.input_shape))
    stages = to_stages(graph.input_shape, graph.nodes, graph.sources)
    expected = graph.logits(x)[0]
    # Sums of at most some hundred terms of about one, in another order.
    assert np.allclose(evaluated(stages, x.ravel()), expected, rtol=1e-9, atol=1e-9)
    moved = arranged(stages, row)
    assert np.allclose(evaluated(moved, x.ravel()), expected, rtol=1e-9, atol=1e-9)
    assert all(linear.outputs <= row for linear, _ in layered(moved)[:-1])


@settings(max_examples=8)
@given(networks(), st.integers(0, 99), st.sampled_from(["latency", "throughput"]))
def test_branches_are_exact_when_encrypted(network, seed, packing):
    x = np.random.default_rng(seed).integers(0, 2, (1, *network.input_shape))
    circuit, refusal = None, ""
    try:
        circuit = compile_exact(network, packing=packing, security="insecure")
    except ParameterError as error:
        refusal = str(error)
    if circuit is None:  # random weights may leave nothing of the input
        assert "same" in refusal
        return
    expected = network.logits(x)
    assert (simulate(circuit, x) == expected).all()
    client, session = connect(circuit)
    assert (client.decrypt(session.evaluate(client.encrypt(x))) == expected).all()


@settings(max_examples=8)
@given(graphs(), st.integers(0, 99))
def test_branches_are_within_their_bound(graph, seed):
    x = np.random.default_rng(seed).random((1, *graph.input_shape))
    circuit = compile_approximate(graph, security="insecure", max_error=0.5)
    expected = graph.logits(x)
    assert np.allclose(simulate(circuit, x), expected, rtol=1e-9, atol=1e-9)
    client, session = connect(circuit)
    assert np.abs(client.decrypt(session.evaluate(client.encrypt(x))) - expected).max() <= circuit.output_bound


@settings(max_examples=15)
@given(branched(small_table, lambda rng, shape: rng.integers(-9, 10, shape)), st.sampled_from([16, 64]))
def test_units_lie_in_the_same_places_modulo_any_prime(network, row):
    """Modulo 3 many weights vanish, which changes no place."""
    stages, other = (to_stages(*network, t) for t in (65537, 3))
    places = Places.of(stages, row)
    for found, given_them in zip(arranged(other, row), arranged(other, row, places), strict=True):
        if isinstance(found, LinearMap):
            assert np.array_equal(found.starts, given_them.starts)
            assert np.array_equal(found.columns, given_them.columns)
            assert np.array_equal(found.weights, given_them.weights)


@pytest.mark.unwatched
def test_layers_of_several_ciphertexts():
    rng = np.random.default_rng(0)
    layers = (
        Conv2d(rng.integers(-1, 2, (4, 1, 3, 3)), rng.integers(-1, 2, 4), 1, 1),
        small_table(rng),
        SumPool2d(2),
        Conv2d(rng.integers(-1, 2, (3, 4, 3, 3)), rng.integers(-1, 2, 3), 1, 1),
        small_table(rng),
        Flatten(),
        Dense(rng.integers(-1, 2, (5, 48)), rng.integers(-1, 2, 5)),
    )
    network = IntNetwork((1, 8, 8), IntDomain(0, 1), layers)
    lowering = exact_lowering(network, "insecure")
    stages = arranged(to_stages(network.input_shape, network.layers), row=64)
    assert [linear.reads for linear, _ in layered(stages)] == [(-1,)] * 4 + [(0, 1, 2, 3), (4,)]
    circuit = search(replace(lowering, stages=stages), 1, "latency", "insecure", None)
    x = rng.integers(0, 2, (1, 1, 8, 8))
    assert circuit.interface.inputs[0].layout.ciphertexts % 4 == 0
    client, session = connect(circuit)
    assert (client.decrypt(session.evaluate(client.encrypt(x))) == network.logits(x)).all()


def pooled(rng, pools, dense=False):
    """A network whose first layer is read by branches, each as sums of so many of its 8 x 8 pixels."""
    nodes, inputs, ends = [Conv2d(rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2), 1, 1)], [(-1,)], []

    def then(node, *read):
        nodes.append(node)
        inputs.append(read or (len(nodes) - 2,))

    then(Activation("square"))
    for pool in pools:
        then(SumPool2d(pool), 1)
        down, across = 8 // pool[0], 8 // pool[1]
        if dense:
            then(Flatten())
            then(Dense(rng.normal(size=(down * across, 2 * down * across)), rng.normal(size=down * across)))
            then(Reshape((1, down, across)))
        else:
            then(Conv2d(rng.normal(size=(1, 2, 1, 1)), rng.normal(size=1)))
        then(Activation("square"))
        then(Flatten())
        then(Dense(rng.normal(size=(3, down * across)), rng.normal(size=3)))
        ends.append(len(nodes) - 1)
    if len(pools) > 1:
        then(Add(), *ends)
    return Graph((1, 8, 8), tuple(nodes), inputs=tuple(inputs))


SIDES = st.sampled_from([(1, 2), (2, 1), (2, 2), (4, 1), (1, 4), (2, 4), (4, 2), (4, 4)])


@settings(max_examples=40)
@given(st.lists(SIDES, min_size=1, max_size=3), st.booleans(), st.integers(0, 99))
def test_what_is_read_as_sums_has_weights_that_repeat(pools, dense, seed):
    """Units were scaled alike by the longest period alone, and a dense reader took any pixels for a sum's."""
    graph = pooled(np.random.default_rng(seed), pools, dense)
    moved = arranged(to_stages(graph.input_shape, graph.nodes, graph.sources))
    for linear, _ in layered(normalised(moved, 0.0, 1.0)[0]):
        each = linear.weight.reshape(linear.outputs, -1, linear.period or linear.inputs)
        assert each == pytest.approx(np.broadcast_to(each[:, :1], each.shape), rel=1e-9)


@pytest.mark.parametrize(("pools", "dense"), [([(2, 2), (2, 1)], False), ([(2, 1), (1, 2)], True)])
def test_branches_read_one_layer_as_different_sums(pools, dense):
    rng = np.random.default_rng(1)
    graph = pooled(rng, pools, dense)
    circuit, x = compile_approximate(graph, security="insecure"), rng.random((1, 1, 8, 8))
    assert simulate(circuit, x) == pytest.approx(graph.logits(x), rel=1e-9)


def test_sums_of_pixels_of_several_images_in_a_row():
    """The sums' period was compared with that of a single image: an assertion failed."""
    rng = np.random.default_rng(0)
    graph = pooled(rng, [(2, 2)])
    circuit, x = compile_approximate(graph, images=4, security="insecure"), rng.random((4, 1, 8, 8))
    assert circuit.interface.packing.lanes == 4
    client, session = connect(circuit)
    assert np.abs(client.decrypt(session.evaluate(client.encrypt(x))) - graph.logits(x)).max() <= circuit.output_bound


def test_pixels_lie_where_convolutions_have_few_diagonals():
    """LeNet-5's second convolution, behind a pool: 25 cells by 16 distances of channels, instead of 2,048 diagonals."""
    rng = np.random.default_rng(0)
    nodes = (
        Conv2d(rng.normal(size=(6, 1, 5, 5)), np.zeros(6), 1, 2),
        Activation("square"),
        SumPool2d(2),
        Conv2d(rng.normal(size=(16, 6, 5, 5)), np.zeros(16)),
        Activation("square"),
        Flatten(),
        Dense(rng.normal(size=(120, 1600)), np.zeros(120)),
    )
    stages = to_stages((1, 28, 28), nodes)
    second = layered(arranged(stages))[1][0]
    assert len(Diagonals.of(second, second.inputs).terms) == 400
    plain = layered(stages)[1][0]
    assert len(Diagonals.of(plain, 8192).terms) == 2048


def test_a_chain_without_images_stays_as_it_is():
    graph = Graph((4,), (Dense(np.eye(4), np.zeros(4)), Activation("square"), Dense(np.eye(4), np.zeros(4))))
    stages = to_stages(graph.input_shape, graph.nodes)
    assert arranged(stages) == stages


@pytest.mark.parametrize("degree", [2, 8])  # of a high one, Chebyshev polynomials are tried
def test_float_branches_are_not_packed_for_throughput(degree):
    nodes = (Dense(np.eye(2), np.ones(2)), Activation("polynomial", tuple(np.ones(degree + 1))), Add())
    graph = Graph((2,), nodes, inputs=((-1,), (0,), (1, 0)))
    with pytest.raises(ParameterError, match='`packing="throughput"` has not: use "latency"'):
        compile_approximate(graph, packing="throughput", security="insecure")
    lowering = approximate_lowering(graph, (0.0, 1.0), None, "insecure")
    assert len(layered(lowering.stages)) == 3


def shrunk_and_enlarged(*strides):
    """Squares between convolutions of 2 x 2, plain ones of positive strides and transposed ones of negative strides."""
    rng, shape, nodes = np.random.default_rng(0), (1, 8, 8), []
    for stride in strides:
        weight, bias = rng.normal(size=(2, shape[0], 2, 2)) / 4, rng.normal(size=2)
        if stride > 0:
            nodes.append(Conv2d(weight, bias, stride))
        else:
            side = Side(-stride, 0, 0, 1)
            transposed_convolution(
                lambda node, _: nodes.append(node), None, shape, weight.swapaxes(0, 1), bias, (side, side), 1
            )
        nodes.append(Activation("square"))
        shape = Graph((1, 8, 8), tuple(nodes)).output_shape
    return Graph((1, 8, 8), tuple(nodes))


@pytest.mark.parametrize(
    ("strides", "steps"),
    [((2, 2, -2, -2), [2, 4, 2, 1]), ((2, -2, 1), [2, 1, 1]), ((-2, 2), [1, 2]), ((-3, 2, -2), [1, 2, 1])],
)
def test_pixels_of_an_image_that_becomes_larger_are_closer_together(strides, steps):
    graph = shrunk_and_enlarged(*strides)
    stages = to_stages(graph.input_shape, graph.nodes)
    grids = [linear.grid for linear, _ in layered(stages)]
    assert [grid.step for grid in grids] == [(step, step) for step in steps]
    x = np.random.default_rng(1).random(64)
    for here in (stages, arranged(stages)):
        np.testing.assert_allclose(evaluated(here, x), graph.logits(x.reshape(1, 1, 8, 8))[0], rtol=1e-9)


def test_images_that_become_larger_again_have_few_diagonals():
    """A tap moves all pixels by the same distance, in a larger image as well."""
    graph = shrunk_and_enlarged(2, 2, -2, -2)
    stages = to_stages(graph.input_shape, graph.nodes)
    ours = _diagonals(layered(stages), Places.of(stages).at)
    coarse = [replace(s, grid=Grid(s.grid.shape, (2, 2))) if isinstance(s, LinearMap) else s for s in stages]
    assert ours < 0.8 * _diagonals(layered(coarse), Places.of(coarse).at)
