"""An exchange as it should be, and messages that were damaged or belong elsewhere."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    Client,
    MessageError,
    Policy,
    compile_approximate,
    compile_exact,
    interface_bytes,
    prepare,
    run_encrypted,
)
from he.formats.messages import Kind, open_message, seal_message
from he.testing import noise_budget, square_graph, table_network
from tests.he.conftest import Party
from tests.he.forge import part_of
from tests.he.parties.exchange import assert_right, decrypted, images_for, network_of, stranger


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_full_and_partial_batches_come_back_right(party, batch):
    x = images_for(party, batch)
    logits = party.ask(x)
    assert logits.shape == (batch, 3)
    assert logits.dtype == (np.int64 if party.circuit.parameters.scheme == "bfv" else np.float64)
    assert_right(party, logits, x)


def test_run_encrypted_cuts_batches(exact):
    x = images_for(exact, 9)  # batches of 4, 4 and 1
    assert np.array_equal(run_encrypted(exact.circuit, x), network_of(exact).logits(x))


def test_a_client_may_be_made_of_the_interface_itself(exact):
    client = Client(exact.circuit.interface, policy=Policy(security="insecure"))
    session = prepare(exact.circuit).session(client.evaluation_keys)
    x = images_for(exact)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), network_of(exact).logits(x))


def test_an_interface_survives_its_bytes(party):
    interface = party.circuit.interface
    assert party.client.interface.to_dict() == interface.to_dict()
    assert party.client.interface.digest == interface.digest


def test_two_encryptions_of_the_same_images_differ(party):
    x = images_for(party)
    assert part_of(Kind.REQUEST, party.client.encrypt(x)) != part_of(Kind.REQUEST, party.client.encrypt(x))


def test_a_client_cannot_be_pickled_or_copied(party):
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Client objects cannot be pickled or copied; they hold a secret key"):
            attempt(party.client)


def test_ckks_has_no_noise_budget(approximate):
    with pytest.raises(TypeError, match="no noise budget"):
        noise_budget(
            approximate.client, approximate.session.evaluate(approximate.client.encrypt(images_for(approximate)))
        )


@settings(max_examples=25)
@given(st.data())
def test_messages_cut_or_altered_anywhere_are_refused(exchange, data):
    party, asked, answer = exchange
    message, receive = data.draw(
        st.sampled_from(
            [
                (asked, party.session.evaluate),
                (answer, party.client.decrypt),
                (party.client.evaluation_keys.to_bytes(), lambda keys: prepare(party.circuit).session(keys)),
                (interface_bytes(party.circuit.interface), Client),
            ]
        )
    )
    place = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(MessageError):
        receive(message[:place])
    damaged = bytearray(message)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MessageError):
        receive(bytes(damaged))


def test_messages_of_another_kind_are_refused(exchange):
    party, asked, answer = exchange
    keys, interface = party.client.evaluation_keys.to_bytes(), interface_bytes(party.circuit.interface)
    for receive, own, name in (
        (party.session.evaluate, asked, "request"),
        (party.client.decrypt, answer, "response"),
        (lambda data: prepare(party.circuit).session(data), keys, "evaluation keys"),
        (Client, interface, "interface"),
    ):
        for other in {asked, answer, keys, interface} - {own}:
            with pytest.raises(MessageError, match=f"expected a message with {name}, got one of another kind"):
                receive(other)


def test_another_circuits_messages_are_refused(exchange):
    party, asked, answer = exchange
    scheme = party.circuit.parameters.scheme
    network = table_network(points=7) if scheme == "bfv" else square_graph()
    options = {"images": 2, "security": "insecure"}
    other = Party((compile_exact if scheme == "bfv" else compile_approximate)(network, **options))
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        other.session.evaluate(asked)
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        other.client.decrypt(answer)
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        prepare(other.circuit).session(party.client.evaluation_keys)


def test_another_clients_messages_are_refused(exchange, strangers):
    party, asked, answer = exchange
    other = stranger(strangers, party)
    with pytest.raises(MessageError, match="another key than the evaluation keys that this session holds"):
        other.session.evaluate(asked)
    with pytest.raises(MessageError, match="another key: only the client that encrypted a request can read the answer"):
        other.client.decrypt(answer)


@pytest.mark.parametrize("count", [0, 2])
def test_a_wrong_number_of_ciphertexts_is_refused(exchange, count):
    party, asked, answer = exchange
    fields, parts = open_message(Kind.REQUEST, asked)
    with pytest.raises(MessageError, match=f"`inputs` must be {len(parts)} ciphertexts, got {count * len(parts)}"):
        party.session.evaluate(seal_message(Kind.REQUEST, fields, parts * count))
    fields, parts = open_message(Kind.RESPONSE, answer)
    with pytest.raises(MessageError, match="a response must hold 1 ciphertext"):
        decrypted(party, seal_message(Kind.RESPONSE, fields, parts * count))
