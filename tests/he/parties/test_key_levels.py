"""Circuits whose keys have several special primes and no more levels than they are used at, from end to end."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from he import (
    MessageError,
    PreparedCircuit,
    compile_approximate,
    compile_exact,
    compile_residues,
    connect,
    interface_bytes,
    prepare,
)
from he.circuit import store
from he.compiler import gadgets
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.policy import Policy, PolicyError
from he.testing import compiled, inputs, noise_budget, polynomial_graphs, square_graph, table_network
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial
from tests.he.circuit.test_key_levels import CIRCUITS, several
from tests.he.conftest import Party

NETWORKS = {"bfv": table_network(), "ckks": square_graph()}


@pytest.fixture(scope="module", params=CIRCUITS)
def pair(request):
    """A network, and parties of its circuit with such keys."""
    return NETWORKS[request.param], Party(several(CIRCUITS[request.param]))


def require_right(network, circuit, logits, images):
    if circuit.parameters.scheme.exact:
        assert np.array_equal(logits, network.logits(images))
    else:
        assert np.abs(logits - network.logits(images)).max() <= circuit.output_bound


def test_answers_are_right_and_the_reference_engine_agrees(pair):
    network, party = pair
    images = inputs(network, 3)
    require_right(network, party.circuit, party.ask(images), images)
    client, session = connect(party.circuit.with_usual_keys(), engine="seal")
    require_right(network, party.circuit, client.decrypt(session.evaluate(client.encrypt(images))), images)


def test_seals_engine_says_what_to_do(pair):
    with pytest.raises(ValueError, match=r"prepare `circuit.with_usual_keys\(\)`"):
        prepare(pair[1].circuit, "seal")


def test_keys_are_exactly_those_of_the_interface(pair):
    party = pair[1]
    keys, interface = party.client.evaluation_keys, party.circuit.interface
    assert len(keys.data) == interface.key_bytes == party.circuit.cost().key_bytes
    prepared = prepare(party.circuit, threads=1)
    for data in (bytes(keys.data)[:-1], bytes(keys.data) + b"\0", b""):
        with pytest.raises(MessageError, match="the evaluation keys must be exactly the circuit's"):
            prepared.session(EvaluationKeys.sealed(interface.digest, data))
    with pytest.raises(MessageError, match="made for another circuit"):
        prepare(party.circuit.with_usual_keys(), threads=1).session(keys)
    damaged = bytearray(keys.data)
    damaged[:64] = b"\xff" * 64  # residues beyond their prime
    with pytest.raises(MessageError, match="the evaluation keys are unusable"):
        prepared.session(EvaluationKeys.sealed(interface.digest, bytes(damaged)))


def test_a_policy_counts_the_bytes_of_these_keys(pair):
    interface = pair[1].circuit.interface
    fits = replace(Policy.trusting("insecure"), most_key_bytes=interface.key_bytes)
    fits.require(interface)
    with pytest.raises(PolicyError, match="`rotation_steps` must be at most"):
        replace(fits, most_key_bytes=interface.key_bytes - 1).require(interface)


def test_circuits_are_stored_with_their_levels(pair, tmp_path):
    network, party = pair
    images = inputs(network, 2)
    store.save(party.circuit, tmp_path / "circuit")
    assert store.digest(store.load(tmp_path / "circuit")) == store.digest(party.circuit)
    assert store.digest(party.circuit) != store.digest(party.circuit.with_usual_keys())
    prepare(party.circuit, threads=1).save(tmp_path / "prepared")
    loaded = PreparedCircuit.load(tmp_path / "prepared", party.circuit)
    session = loaded.session(party.client.evaluation_keys, 1)
    request = party.client.encrypt(images)
    require_right(network, party.circuit, party.client.decrypt(session.evaluate(request), request), images)
    assert loaded.rehearse(1, 0) > 0


def test_what_is_said_of_a_circuit(pair):
    text, stated = pair[1].circuit.explain(), pair[1].circuit.interface.key_levels
    (line,) = [line for line in text.splitlines() if line.startswith("key switching: ")]
    told = {int(n): levels for n, levels in re.findall(r"(\d+) at (\d+(?:, \d+)*)", line)}
    used = sorted({level for levels in stated.levels for level in levels})
    for specials in {stated.specials[level - 1] for level in used}:
        assert told[specials] == ", ".join(str(level) for level in used if stated.specials[level - 1] == specials)
    assert "one special prime" in pair[1].circuit.with_usual_keys().explain()


@pytest.mark.parametrize("scheme", CIRCUITS)
def test_answers_that_are_rerandomised(scheme):
    network = NETWORKS[scheme]
    circuit = several(compiled(network, security="insecure", circuit_privacy={"bfv": 40, "ckks": 12}[scheme]))
    party, images = Party(circuit), inputs(network, 1)
    require_right(network, circuit, party.ask(images), images)


def test_circuits_of_several_primes():
    layers = Dense(np.array([[1, -2], [2, 1]]), np.array([1, -1])), IntPolynomial((0, 0, 1))
    network = IntNetwork((2,), IntDomain(-2, 2), (*layers, Dense(np.array([[1 << 20, 3]]), np.array([9]))))
    usual = compile_residues(network, security="insecure", plain_moduli=(188417, 163841))
    circuit = replace(usual, circuits=tuple(map(several, usual.circuits)))
    images = np.array([[2, -1]])
    client, session = connect(circuit)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(images))), network.logits(images))
    assert len(interface_bytes(circuit.with_usual_keys().interface)) < len(interface_bytes(circuit.interface))


@pytest.fixture
def chosen(monkeypatch):
    """Compile with gadgets of their own, however short keys are and however little is gained."""
    monkeypatch.setattr(gadgets, "SHORT_KEYS", 0)
    monkeypatch.setattr(gadgets, "WORTH_BYTES", 1.0)


@pytest.mark.usefixtures("chosen")
def test_compiled_circuits_keep_their_bounds():
    """Where keys are shorter, bounds hold for what is evaluated: of the budget that is left, and of every error."""
    found = 0
    for seed in range(4):
        network = table_network(points=9 + 4 * seed)
        circuit = compile_exact(network, security="insecure")
        found += circuit.interface.key_levels is not None
        party, images = Party(circuit), inputs(network, 1, seed)
        response = party.session.evaluate(party.client.encrypt(images))
        assert noise_budget(party.client, response) >= circuit.output_bound - 1  # SEAL rounds down
        assert np.array_equal(party.client.decrypt(response), network.logits(images))
    assert found


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(polynomial_graphs(), st.sampled_from(["latency", "throughput"]))
def test_errors_stay_within_their_bounds(chosen, graph, packing):
    circuit = compile_approximate(graph, packing=packing, security="insecure", max_error=0.01)
    images = inputs(graph, 1)
    assert np.abs(Party(circuit).ask(images) - graph.logits(images)).max() <= circuit.output_bound <= 0.01
