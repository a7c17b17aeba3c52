"""Real encryption of random networks: exact to the bit, or within the bound, and never noisier than was said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Client, compile_approximate, compile_exact, interface_bytes, prepare
from he.testing import (
    compiled,
    extremes,
    inputs,
    noise_budget,
    polynomial_graphs,
    square_graph,
    table_network,
    table_networks,
)
from tests.he.conftest import Party


def ask(party, images):
    return party.session.evaluate(party.client.encrypt(images))


@settings(max_examples=20)
@given(st.integers(0, 2).flatmap(lambda tables: table_networks(tables, max_points=17)), st.integers(1, 5), st.data())
def test_decrypted_logits_equal_plain_logits_bit_for_bit(network, images, data):
    party = Party(compiled(network, images=images, security="insecure"))
    batch = data.draw(st.integers(1, party.circuit.interface.images))
    for x in (inputs(network, batch, data.draw(st.integers(0, 9))), extremes(network, batch)):
        response = ask(party, x)
        assert np.array_equal(party.client.decrypt(response), network.logits(x))
        assert noise_budget(party.client, response) >= party.circuit.output_bound - 1  # SEAL rounds down to whole bits


@settings(max_examples=10)
@given(polynomial_graphs(), st.integers(1, 3))
def test_decrypted_logits_are_within_the_bound(graph, images):
    party = Party(compiled(graph, images=images, security="insecure"))
    x = inputs(graph, images)
    error = np.abs(party.client.decrypt(ask(party, x)) - graph.logits(x)).max()
    assert error <= party.circuit.output_bound


@pytest.mark.parametrize("points", [9, 121])
def test_exact_at_128_bits(points):
    network = table_network(points=points)
    circuit = compile_exact(network, images=8)
    assert circuit.parameters.security_bits == 128
    client = Client(interface_bytes(circuit.interface))
    session = prepare(circuit).session(client.evaluation_keys)
    x = extremes(network, 8)
    response = session.evaluate(client.encrypt(x))
    assert np.array_equal(client.decrypt(response), network.logits(x))
    # The bound is on the canonical norm at six deviations, and sums never cancel in it: seen here, 15 to 30 bits apart.
    assert circuit.output_bound - 1 <= noise_budget(client, response) <= circuit.output_bound + 45


def test_approximate_at_128_bits():
    graph = square_graph()
    circuit = compile_approximate(graph, images=8)
    assert circuit.parameters.security_bits == 128
    client = Client(interface_bytes(circuit.interface))
    session = prepare(circuit).session(client.evaluation_keys)
    x = inputs(graph, 8)
    logits = client.decrypt(session.evaluate(client.encrypt(x)))
    assert np.abs(logits - graph.logits(x)).max() <= circuit.output_bound


def test_one_engine_serves_requests_in_any_order(exact):
    network = table_network()
    batches = [inputs(network, n, seed=n) for n in (1, 4, 2)]
    requests = [exact.client.encrypt(x) for x in batches]
    for x, request in reversed(list(zip(batches, requests, strict=True))):
        assert np.array_equal(exact.client.decrypt(exact.session.evaluate(request), request), network.logits(x))
