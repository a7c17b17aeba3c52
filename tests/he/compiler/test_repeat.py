"""First layers whose units come several times: the same function, with fewer diagonals behind it."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import compile_approximate, compile_exact, interface_bytes, run_encrypted, simulate
from he.compiler.arrange import arranged
from he.compiler.diagonals import Diagonals
from he.compiler.linear import width_of
from he.compiler.repeat import repeated, repeats
from he.compiler.stages import layered, to_stages
from he.testing import extremes, inputs, table_network
from intnn import Activation, Add, Conv2d, Dense, Flatten, Graph, SumPool2d
from intnn.network.edges import INPUT

SQUARE = Activation("square")


def dense(rng, *sizes):
    """A network of squares of dense layers."""
    layers = []
    for read, made in pairwise(sizes):
        layers += [Dense(rng.normal(size=(made, read)) / read, rng.normal(size=made) / 4), SQUARE]
    return Graph(sizes[:1], tuple(layers[:-1]))


def convolutions(negated=False):
    """A network whose first layer reads few of its inputs, and is read by a dense one."""
    rng = np.random.default_rng(0)
    first = Conv2d(rng.normal(size=(2, 1, 3, 3)) / 3, rng.normal(size=2), stride=2)
    sign = -1 if negated else 1
    first = replace(first, weight=sign * first.weight, bias=sign * first.bias)
    layers = first, SQUARE, Flatten(), Dense(rng.normal(size=(30, 32)) / 6, rng.normal(size=30)), SQUARE
    return Graph((1, 9, 9), (*layers, Dense(rng.normal(size=(3, 30)) / 6, rng.normal(size=3))))


@cache
def encrypted(negated=False):
    return compile_approximate(convolutions(negated), weights="encrypted", security="insecure", salt=bytes(32))


def stages_of(graph):
    return arranged(to_stages(graph.input_shape, graph.nodes, graph.sources))


def evaluated(stages, x):
    value = x
    for linear, functions in layered(stages):
        value = linear.times(value) + linear.bias
        for function in functions:
            value = function.apply(value[None])[0]
    return value


@settings(max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=3, max_size=4), st.integers(0, 2**32 - 1))
def test_repeated_units_make_the_same_logits_by_fewer_diagonals(sizes, seed):
    rng = np.random.default_rng(seed)
    stages, x = stages_of(dense(rng, *sizes)), rng.random(sizes[0])
    (first, _), (following, _), *_ = layered(stages)
    for times in repeats(stages):
        others = repeated(stages, times)
        (more, _), (behind, _), *_ = layered(others)
        assert np.allclose(evaluated(others, x), evaluated(stages, x), rtol=1e-12)
        assert more.outputs == (times * width_of(first) if times > 1 else first.outputs)
        assert set(Diagonals.of(behind, width_of(more)).terms) <= set(range(width_of(following) // times))
        assert np.array_equal(np.sort(behind.weights), np.sort(following.weights))


@pytest.mark.parametrize(
    ("nodes", "sources"),
    [
        ([Dense(np.ones((8, 4)), np.zeros(8))], None),  # nothing reads the units
        ([Dense(np.ones((4, 4)), np.zeros(4)), SQUARE, Dense(np.ones((8, 4)), np.zeros(8))], None),  # too few of them
        (  # two layers read them
            [
                Dense(np.ones((4, 4)), np.zeros(4)), SQUARE, Dense(np.ones((4, 4)), np.zeros(4)), SQUARE, Add(),
                Dense(np.ones((2, 4)), np.zeros(2)),
            ],
            [(INPUT,), (0,), (1,), (2,), (1, 3), (4,)],
        ),
        (  # one more reads the input
            [
                Dense(np.ones((4, 4)), np.zeros(4)), SQUARE, Dense(np.ones((4, 4)), np.zeros(4)), Add(), SQUARE,
                Dense(np.ones((2, 4)), np.zeros(2)),
            ],
            [(INPUT,), (0,), (INPUT,), (1, 2), (3,), (4,)],
        ),
    ],
)  # fmt: skip
def test_units_that_several_layers_read_come_once(nodes, sources):
    stages = arranged(to_stages((4,), nodes, sources))
    assert repeats(stages) == [1]
    assert repeated(stages, 1) == stages


def test_units_that_are_read_as_sums_come_once():
    nodes = [Conv2d(np.ones((2, 1, 3, 3)), np.ones(2), padding=1), SQUARE, SumPool2d(2)]
    nodes += [Conv2d(np.ones((1, 2, 1, 1)), np.ones(1)), SQUARE, Flatten(), Dense(np.ones((3, 16)), np.ones(3))]
    stages = arranged(to_stages((1, 8, 8), nodes))
    assert layered(stages)[1][0].period
    assert repeats(stages) == [1]


@pytest.mark.unwatched
def test_they_come_as_often_as_costs_least_and_where_weights_are_encrypted_alone():
    graph, x = convolutions(), inputs(convolutions(), 8)
    circuit = encrypted()
    assert any(reason.startswith("first layer: every unit comes 4 times") for reason in circuit.reasons)
    layout = circuit.interface.inputs[0].layout
    assert layout.width == 4 * 32
    assert len(layout.rows) <= 32  # an interface does not get longer by it
    assert np.abs(simulate(circuit, x) - graph.logits(x)).max() <= circuit.output_bound
    plain = compile_approximate(graph, security="insecure")
    assert plain.interface.inputs[0].layout.width == 32
    ciphertexts = len(circuit.program.encrypted), len(plain.program.factors | plain.program.addends)
    assert ciphertexts[0] < ciphertexts[1] / 2
    calibrated = compile_approximate(graph, x, ranges="calibrated", weights="encrypted", security="insecure")
    assert calibrated.interface.inputs[0].layout.width == 32


def test_what_comes_out_is_within_the_bound():
    """Images of zeros and ones reach furthest, and so do the errors of encrypted weights."""
    graph, circuit = convolutions(), encrypted()
    x = np.random.default_rng(1).integers(0, 2, (6, *graph.input_shape)).astype(float)
    x[0], x[-1] = 0, 1
    assert np.abs(run_encrypted(circuit, x) - graph.logits(x)).max() <= circuit.output_bound


def test_integers_stay_exact():
    network = table_network()
    circuit = compile_exact(network, weights="encrypted", security="insecure")
    assert any(reason.startswith("first layer: every unit comes") for reason in circuit.reasons)
    x = extremes(network, 4)
    assert np.array_equal(run_encrypted(circuit, x), network.logits(x))


@pytest.mark.unwatched
def test_how_often_they_come_tells_nothing_of_weights():
    """Of two networks of one architecture and the same norms, which are declared, nothing else differs."""
    one, other = (replace(encrypted(negated).interface, commitment="0" * 64) for negated in (False, True))
    assert interface_bytes(one) == interface_bytes(other)
