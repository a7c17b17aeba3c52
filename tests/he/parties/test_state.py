"""A client that goes on in another process: what it counts, and what waits for an answer."""

import numpy as np
import pytest
from hypothesis import given, settings

from he import Client, DecryptionError, KeyRetiredError, MessageError, ParameterError, Policy, prepare
from he.formats.messages import Kind, open_message, seal_message
from he.testing import compiled, damaged, inputs, table_network
from tests.he.forge import with_fields

NETWORK = table_network()
CIRCUIT = compiled(NETWORK, images=4, security="insecure", salt=bytes(32))
POLICY = Policy(security="insecure", most_refusals=2)
CLIENT = Client(CIRCUIT.interface, policy=POLICY)


def restored(client, state, policy=POLICY):
    return Client(client.interface, CLIENT.secret_key, policy=policy, state=state)


def test_another_client_accepts_what_the_first_has_asked():
    client = restored(CLIENT, CLIENT.state())
    batches = [inputs(NETWORK, count, seed=count) for count in (1, 4)]
    requests = [client.encrypt(batch) for batch in batches]
    session = prepare(CIRCUIT).session(CLIENT.evaluation_keys)
    answers = [session.evaluate(request) for request in requests]
    another = restored(client, client.state())
    assert another.open_requests == [request[-32:] for request in requests] == client.open_requests
    for batch, answer, name in zip(batches, answers, another.open_requests, strict=True):
        assert np.array_equal(another.decrypt(answer, name), NETWORK.logits(batch))
    with pytest.raises(MessageError, match="second one"):
        restored(client, another.state()).decrypt(answers[0], requests[0])


def test_forgotten_requests_have_no_answer():
    client = restored(CLIENT, CLIENT.state())
    request = client.encrypt(inputs(NETWORK, 1))
    client.forget_requests()
    assert client.open_requests == []
    with pytest.raises(MessageError, match="first one to an open request"):
        client.decrypt(prepare(CIRCUIT).session(CLIENT.evaluation_keys).evaluate(request))


def test_refusals_are_counted_on_to_the_end_of_the_key():
    client = restored(CLIENT, CLIENT.state())
    session = prepare(CIRCUIT).session(CLIENT.evaluation_keys)
    for refusals in (1, 2):
        client = restored(client, client.state())
        fields, (part,) = open_message(Kind.RESPONSE, session.evaluate(client.encrypt(inputs(NETWORK, 1))))
        half = len(part) // 2
        with pytest.raises(DecryptionError):
            client.decrypt(seal_message(Kind.RESPONSE, fields, [bytes(half) + bytes(part[half:])]))
        if refusals == 1:
            state = client.state()
    with pytest.raises(KeyRetiredError):
        client.state()
    with pytest.raises(KeyRetiredError):
        restored(client, state, Policy(security="insecure", most_refusals=1)).encrypt(inputs(NETWORK, 1))


def test_a_state_belongs_to_its_keys():
    other = Client(CIRCUIT.interface, policy=POLICY)
    with pytest.raises(MessageError, match="another secret key"):
        restored(CLIENT, other.state())
    new = CLIENT.secret_key.evaluation_keys(CIRCUIT.interface)
    with pytest.raises(MessageError, match="belongs to others"):
        Client(CIRCUIT.interface, CLIENT.secret_key, new, policy=POLICY, state=CLIENT.state())
    single = compiled(NETWORK, images=1, security="insecure", salt=bytes(32))
    with pytest.raises((MessageError, ParameterError)):
        Client(single.interface, CLIENT.secret_key, policy=POLICY, state=CLIENT.state())
    with pytest.raises(ParameterError, match="state"):
        Client(CIRCUIT.interface, policy=POLICY, state=CLIENT.state())


def test_a_client_without_evaluation_keys_has_none_to_give():
    client = restored(CLIENT, CLIENT.state())
    with pytest.raises(LookupError, match="evaluation_keys"):
        _ = client.evaluation_keys
    whole = Client(CIRCUIT.interface, CLIENT.secret_key, CLIENT.evaluation_keys, policy=POLICY, state=CLIENT.state())
    assert whole.evaluation_keys == CLIENT.evaluation_keys


@settings(max_examples=50, deadline=None)
@given(damaged(CLIENT.state()))
def test_a_damaged_state_is_refused(state):
    with pytest.raises(MessageError):
        restored(CLIENT, state)


@pytest.mark.parametrize(
    "change", [{"answers": 5}, {"refusals": -1}, {"key": "0" * 64}, {"mark": "0" * 64}, {"mark": 7}]
)
def test_nobody_else_can_make_a_state(change):
    forged = with_fields(Kind.CLIENT, CLIENT.state(), **change)
    with pytest.raises(MessageError, match="another secret key, or changed"):
        restored(CLIENT, forged)


def test_a_smaller_policy_remembers_no_more_than_it_says():
    client = restored(CLIENT, CLIENT.state())
    for seed in range(3):
        client.encrypt(inputs(NETWORK, 1, seed=seed))
    with pytest.raises(MessageError, match="at most 2 open requests"):
        restored(client, client.state(), Policy(security="insecure", most_open=2))
