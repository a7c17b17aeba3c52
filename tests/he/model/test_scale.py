"""Inputs of another scale than the samples, wherever a client meets a scale that came from samples."""

import warnings

import numpy as np
import pytest

import he
from he.testing import inputs, square_graph, table_network
from intnn import Activation, Dense, Graph

RNG = np.random.default_rng(0)
SAMPLES = RNG.random((300, 6)) * (RNG.random((300, 6)) < 0.6)
GRAPH = Graph(
    (6,),
    (
        Dense(RNG.normal(size=(8, 6)), RNG.normal(size=8)),
        Activation("relu"),
        Dense(RNG.normal(size=(3, 8)), np.zeros(3)),
    ),
)


def said(function, x):
    """The warnings that a call shows to somebody who changes nothing about them."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        function(x)
    assert all(warning.filename == __file__ for warning in found)
    return [str(warning.message) for warning in found]


@pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # of weights at random
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("unit", [1.0, 255.0])
def test_a_compiled_model_has_one_warning_for_one_mistake(exact, unit):
    compiled = he.compile(GRAPH, SAMPLES * unit, exact=exact, security="insecure")
    assert said(compiled.prepare, SAMPLES * unit) == []
    (far,) = said(compiled.prepare, SAMPLES * unit * 255)
    assert "far outside" in far
    (tiny,) = said(compiled.prepare, SAMPLES * unit / 1e4)
    assert "less than a hundredth" in tiny


def test_a_client_sees_the_scale_of_the_network():
    network = table_network()
    circuit = he.compile_exact(network, security="insecure")
    client = he.Client(circuit.interface, policy=he.Policy(security="insecure"))
    unit = network.input_domain.hi / network.input_scale
    honest = np.maximum(RNG.random((20, *network.input_shape)), 0.1) * unit
    assert said(client.prepare, honest) == []
    (far,) = said(client.prepare, honest * 255)
    assert f"far outside the range of 0 to {unit:.4g}" in far
    (tiny,) = said(client.prepare, honest / 255)
    assert "less than a hundredth" in tiny


def test_floats_that_a_circuit_refuses_are_refused_with_what_to_do():
    graph = square_graph()
    circuit = he.compile_approximate(graph, security="insecure")
    client = he.Client(circuit.interface, policy=he.Policy(security="insecure"))
    with pytest.raises(he.InputError, match="scale images as the samples were"):
        client.encrypt(inputs(graph, 1) * 255)
