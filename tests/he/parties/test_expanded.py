"""Expanded keys answer as the keys do of which they were made, and only for their circuit."""

import numpy as np
import pytest

from he import Client, MessageError, StoredError, compile_exact, compile_residues, prepare
from he.formats import stored
from he.formats.messages import Kind, open_message
from he.parties.expanded import KIND, ExpandedKeys
from he.parties.policy import Policy
from he.testing import inputs, table_network
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial
from tests.he.conftest import Party


def answers(prepared, keys, request):
    return prepared.session(keys).evaluator.evaluate(open_message(Kind.REQUEST, request)[1])


def test_mapped_keys_answer_as_those_that_travel(exchange, tmp_path) -> None:
    party, asked, _ = exchange
    prepared, keys = prepare(party.circuit), party.client.evaluation_keys
    interface, path = party.circuit.interface, tmp_path / "keys"
    expanded = ExpandedKeys.of(keys.to_bytes(), interface)
    expanded.save(path)
    mapped = ExpandedKeys.mapped(path, interface)
    assert mapped.id == keys.id
    path.unlink()  # what is mapped stays
    expected = answers(prepared, keys, asked)
    assert answers(prepared, expanded, asked) == expected
    assert answers(prepared, mapped, asked) == expected


def test_several_circuits_share_what_was_expanded(tmp_path) -> None:
    weight = np.random.default_rng(0).integers(-7, 8, (3, 6))
    layers = (Dense(weight, np.zeros(3, int)), IntPolynomial((0, 0, 1)))
    network = IntNetwork((6,), IntDomain(-3, 3), layers)
    circuit = compile_residues(network, security="insecure")
    party = Party(circuit)
    ExpandedKeys.of(party.client.evaluation_keys, circuit.interface).save(tmp_path / "keys")
    mapped = ExpandedKeys.mapped(tmp_path / "keys", circuit.interface)
    images = inputs(network, 1)
    request = party.client.encrypt(images)
    logits = party.client.decrypt(prepare(circuit).session(mapped).evaluate(request), request)
    assert logits.tolist() == network.logits(images).tolist()


def test_re_randomised_answers_have_their_encryption_of_zero(tmp_path) -> None:
    circuit = compile_exact(table_network(), security="insecure", circuit_privacy=8)
    client = Client(circuit.interface, policy=Policy.trusting("insecure"))
    ExpandedKeys.of(client.evaluation_keys, circuit.interface).save(tmp_path / "keys")
    session = prepare(circuit).session(ExpandedKeys.mapped(tmp_path / "keys", circuit.interface))
    images = inputs(table_network(), 1)
    request = client.encrypt(images)
    first = session.evaluate(request)
    assert client.decrypt(first, request).tolist() == table_network().logits(images).tolist()
    assert session._rerandomise is not None


def test_keys_for_another_circuit_or_engine_are_refused(exact, approximate, tmp_path) -> None:
    keys = exact.client.evaluation_keys
    with pytest.raises(MessageError):
        ExpandedKeys.of(keys, approximate.circuit.interface)
    expanded = ExpandedKeys.of(keys, exact.circuit.interface)
    with pytest.raises(MessageError, match="another circuit"):
        prepare(approximate.circuit).session(expanded)
    with pytest.raises(ValueError, match="'rns'"):
        prepare(exact.circuit, "seal").session(expanded)
    expanded.save(tmp_path / "keys")
    with pytest.raises(StoredError, match="another circuit"):
        ExpandedKeys.mapped(tmp_path / "keys", approximate.circuit.interface)


def test_a_file_without_its_keys_is_refused(exact, tmp_path) -> None:
    interface, path = exact.circuit.interface, tmp_path / "keys"
    expanded = ExpandedKeys.of(exact.client.evaluation_keys, interface)
    content = {"circuit": interface.digest, "id": expanded.id}
    arrays = {**expanded.switching.arrays(), "zero": np.zeros(0, np.uint8)}
    first = next(name for name in arrays if "." in name)
    others = {name: array for name, array in arrays.items() if name != first}
    for wrong in (
        others,
        {**others, first: arrays[first][:-1]},
        {**others, "1.99.1": arrays[first]},
        {**arrays, "layout": np.array([1, 2])},
        {name: array for name, array in arrays.items() if name != "zero"},
    ):
        stored.write(path, KIND, content, wrong)
        with pytest.raises(StoredError):
            ExpandedKeys.mapped(path, interface)
    for damaged in (b"", b"foreign " * 99, path.read_bytes()[:40], b"HECIRC\0\0\7" + path.read_bytes()[9:]):
        path.write_bytes(damaged)
        with pytest.raises(StoredError):
            ExpandedKeys.mapped(path, interface)
