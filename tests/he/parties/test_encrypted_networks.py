"""Encrypted networks between three parties: who is permitted gets right logits, and nobody else a plausible label."""

import numpy as np
import pytest
from hypothesis import given, settings

from he import (
    Client,
    DecryptionError,
    EncryptedNetwork,
    MessageError,
    ModelOwner,
    NotPermittedError,
    ParameterError,
    Policy,
    PublicKey,
    compile_approximate,
    compile_exact,
    connect,
    prepare,
    simulate,
    simulate_guards,
)
from he.formats.messages import Kind
from he.parties.expanded import ExpandedKeys
from he.testing import damaged, inputs, square_graph, table_network
from tests.he.forge import with_fields

NETWORKS = {
    "bfv": (table_network(), compile_exact(table_network(), weights="encrypted", security="insecure", images=4)),
    "ckks": (square_graph(), compile_approximate(square_graph(), weights="encrypted", security="insecure", images=4)),
}
NETWORK, CIRCUIT = NETWORKS["bfv"]
SEED = bytes(range(32))


def client_of(owner, key=None, **options):
    return Client(owner.interface, key, policy=Policy.trusting("insecure"), **options)


def parties(circuit, **options):
    """An owner, a client that it permits, and the evaluator's prepared circuit without weights."""
    owner = ModelOwner(circuit, **options)
    client = client_of(owner)
    owner.permit(client.public_key.id)
    return owner, client, prepare(owner.circuit)


def session_of(prepared, client, owner, network, **options):
    keys, given = client.evaluation_keys.to_bytes(), {"network": network.to_bytes(), "owner": owner.verification_key}
    return prepared.session(keys, **given, **options)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_three_parties_that_exchange_bytes(scheme):
    network, circuit = NETWORKS[scheme]
    owner, client, prepared = parties(circuit)
    session = session_of(prepared, client, owner, owner.issue(client.public_key.to_bytes()))
    client.admit(session.permission, owner.verification_key, owner.revocation)
    x = inputs(network, 3)
    logits = client.decrypt(session.evaluate(client.encrypt(x)))
    assert np.abs(logits - network.logits(x)).max() <= circuit.interface.tolerance / 2
    again = client.decrypt(session.evaluate_in_the_clear(client.invite(3), x))
    assert np.abs(again - network.logits(x)).max() <= circuit.interface.tolerance / 2


def test_one_key_has_several_models_and_one_model_several_keys():
    owner, first, prepared = parties(CIRCUIT)
    second = client_of(owner)
    owner.permit(second.public_key.id)
    x = inputs(NETWORK, 2)
    issued = []
    for client in (first, second):
        issued.append(owner.issue(client.public_key))
        session = session_of(prepared, client, owner, issued[-1])
        client.admit(session.permission, owner.verification_key)
        assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), NETWORK.logits(x))
    assert issued[0].permission.number < issued[1].permission.number
    anew = ModelOwner(compile_exact(table_network(), weights="encrypted", security="insecure", images=4))
    client = client_of(anew, first.secret_key)  # the same key, with evaluation keys for another model
    anew.permit(client.public_key.id)
    session = session_of(prepare(anew.circuit), client, anew, anew.issue(client.public_key))
    client.admit(session.permission, anew.verification_key)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), NETWORK.logits(x))


def test_a_key_outside_the_set_gets_no_network():
    owner, client, prepared = parties(CIRCUIT)
    stranger = client_of(owner)
    with pytest.raises(NotPermittedError, match="not permitted: the public key is not among those"):
        owner.issue(stranger.public_key)
    # A stranger who names the client's key in a public key of its own has another name.
    forged = PublicKey.sealed(owner.circuit.interface.digest, client.evaluation_keys.id, stranger.public_key.data)
    with pytest.raises(NotPermittedError, match="not permitted"):
        owner.issue(forged)
    network = owner.issue(client.public_key)
    with pytest.raises(NotPermittedError, match="not permitted: the permission is for another key"):
        session_of(prepared, stranger, owner, network)
    with pytest.raises(NotPermittedError, match="not permitted: the permission is for another key"):
        stranger.admit(network.permission.to_bytes(), owner.verification_key)
    with pytest.raises(NotPermittedError, match="not permitted: the client has admitted no permission"):
        stranger.encrypt(inputs(NETWORK, 1))


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_an_evaluator_that_ignores_permissions_gives_no_plausible_label(scheme):
    """Whoever evaluates a network that is encrypted for another key makes noise, which the client refuses."""
    network, circuit = NETWORKS[scheme]
    owner, client, prepared = parties(circuit)
    stranger = client_of(owner)
    issued = owner.issue(client.public_key)
    stranger._require_permission = lambda: None  # and a client that does not ask either
    keys = stranger.evaluation_keys.divided(circuit.interface)[0]
    evaluator = prepared._prepared.bind(keys, 1, network=issued.ciphertexts)
    session = session_of(prepared, client, owner, issued)
    session._evaluator, session._key_id = evaluator, stranger.evaluation_keys.id
    with pytest.raises(DecryptionError):
        stranger.decrypt(session.evaluate(stranger.encrypt(inputs(network, 2))))


def test_a_permission_expires_by_the_clock_of_whoever_checks():
    now = [1000.0]
    owner = ModelOwner(CIRCUIT, clock=lambda: now[0])
    client = client_of(owner, clock=lambda: now[0])
    owner.permit(client.public_key.id)
    network = owner.issue(client.public_key, seconds=60)
    assert network.permission.expires == 1060
    client.admit(network.permission.to_bytes(), owner.verification_key)
    client.encrypt(inputs(NETWORK, 1))
    now[0] = 1060.0
    for refused in (
        lambda: client.encrypt(inputs(NETWORK, 1)),
        lambda: client.admit(network.permission.to_bytes(), owner.verification_key),
        lambda: session_of(prepare(owner.circuit), client, owner, network),  # by the machine's own clock
    ):
        with pytest.raises(NotPermittedError, match="has expired"):
            refused()


def test_a_session_ends_with_its_permission():
    owner, client, prepared = parties(CIRCUIT)
    session = session_of(prepared, client, owner, owner.issue(client.public_key))
    client.admit(session.permission, owner.verification_key)
    request = client.encrypt(inputs(NETWORK, 1))
    session._admission._clock = lambda: float(2**50)
    with pytest.raises(NotPermittedError, match="has expired"):
        session.evaluate(request)


def test_what_is_revoked_no_longer_counts_and_is_issued_anew_for_others():
    owner, client, prepared = parties(CIRCUIT)
    other = client_of(owner)
    owner.permit(other.public_key.id)
    sessions = {one: session_of(prepared, one, owner, owner.issue(one.public_key)) for one in (client, other)}
    for one, session in sessions.items():
        one.admit(session.permission, owner.verification_key)
    before = owner.revocation
    revocation = owner.revoke(client.public_key.id)
    with pytest.raises(NotPermittedError, match="not among those"):
        owner.issue(client.public_key)
    with pytest.raises(NotPermittedError, match="not among those"):
        owner.revoke("0" * 64)
    requests = {one: one.encrypt(inputs(NETWORK, 1)) for one in sessions}
    for one, session in sessions.items():
        session.revoke(revocation)
        session.revoke(before)  # an older one takes nothing back
        with pytest.raises(NotPermittedError, match="has been revoked"):
            session.evaluate(requests[one])
        with pytest.raises(NotPermittedError, match="has been revoked"):
            one.admit(session.permission, owner.verification_key, revocation)
        with pytest.raises(NotPermittedError, match="has been revoked"):  # what was admitted before counts no more
            one.encrypt(inputs(NETWORK, 1))
        for older in (None, before):
            with pytest.raises(NotPermittedError, match="has been revoked"):
                one.admit(session.permission, owner.verification_key, older)
    renewed = session_of(prepared, other, owner, owner.issue(other.public_key), revocation=revocation)
    assert owner.revoke(client.public_key.id) == revocation  # as one that did not arrive is sent again
    other.admit(renewed.permission, owner.verification_key, revocation)
    assert np.array_equal(
        other.decrypt(renewed.evaluate(requests[other]), requests[other]), NETWORK.logits(inputs(NETWORK, 1))
    )
    assert owner.permitted == {other.public_key.id}


def test_an_owner_who_continues_revokes_nothing_by_that():
    owner, client, prepared = parties(CIRCUIT, signing_seed=SEED)
    network = owner.issue(client.public_key)
    again = ModelOwner(CIRCUIT, owner.permitted, signing_seed=SEED, first=network.permission.number + 1)
    assert again.issue(client.public_key).permission.number > network.permission.number
    session_of(prepared, client, owner, network, revocation=again.revocation)
    later = ModelOwner(CIRCUIT, owner.permitted, signing_seed=SEED, first=5, least=1)
    with pytest.raises(NotPermittedError, match="has been revoked"):
        session_of(prepared, client, owner, network, revocation=later.revocation)
    with pytest.raises(ValueError, match="`least` must"):
        ModelOwner(CIRCUIT, first=1, least=2)


def test_a_revocation_for_another_circuit_is_refused():
    owner, client, prepared = parties(CIRCUIT, signing_seed=SEED)
    network = owner.issue(client.public_key)
    session = session_of(prepared, client, owner, network)
    anew = compile_exact(table_network(), weights="encrypted", security="insecure", images=4)
    foreign = ModelOwner(anew, signing_seed=SEED, first=9, least=9).revocation
    for refused in (
        lambda: session.revoke(foreign),
        lambda: session_of(prepared, client, owner, network, revocation=foreign),
        lambda: client.admit(session.permission, owner.verification_key, foreign),
    ):
        with pytest.raises(NotPermittedError, match="the revocation is for another circuit"):
            refused()
    client.admit(session.permission, owner.verification_key)
    x = inputs(NETWORK, 1)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), NETWORK.logits(x))


def test_another_owners_signature_is_none():
    owner, client, prepared = parties(CIRCUIT, signing_seed=SEED)
    impostor = ModelOwner(CIRCUIT, [client.public_key.id])
    network = impostor.issue(client.public_key)
    with pytest.raises(NotPermittedError, match="has not signed"):
        session_of(prepared, client, owner, network)
    with pytest.raises(NotPermittedError, match="has not signed"):
        client.admit(network.permission.to_bytes(), owner.verification_key)
    with pytest.raises(NotPermittedError, match="has not signed"):
        session_of(prepared, client, owner, owner.issue(client.public_key), revocation=impostor.revocation)
    again = ModelOwner(CIRCUIT, owner.permitted, signing_seed=SEED)
    assert again.verification_key == owner.verification_key


def test_what_is_signed_cannot_be_changed_or_put_together_anew():
    owner, client, _prepared = parties(CIRCUIT)
    networks = [owner.issue(client.public_key) for _ in range(2)]
    permission = networks[0].permission.to_bytes()
    for change in ({"expires": 2**52}, {"number": 9}, {"key": "0" * 64}):
        with pytest.raises(NotPermittedError, match="has not signed"):
            client.admit(with_fields(Kind.PERMISSION, permission, **change), owner.verification_key)
    with pytest.raises(NotPermittedError, match="for another network"):
        EncryptedNetwork(networks[0].permission, networks[1].ciphertexts)
    anew = compile_exact(table_network(), weights="encrypted", security="insecure", images=4)
    same_owner = ModelOwner(anew, signing_seed=owner.signing_seed)
    with pytest.raises(NotPermittedError, match="for another circuit"):
        client_of(same_owner, client.secret_key).admit(permission, owner.verification_key)


OWNER, FRIEND, PREPARED = parties(CIRCUIT)
ISSUED = OWNER.issue(FRIEND.public_key)


@settings(max_examples=60, deadline=None)
@given(damaged(ISSUED.to_bytes()))
def test_damaged_networks_are_refused(data):
    with pytest.raises((MessageError, NotPermittedError)):
        PREPARED.session(FRIEND.evaluation_keys, network=data, owner=OWNER.verification_key)


@settings(max_examples=60, deadline=None)
@given(damaged(ISSUED.permission.to_bytes()))
def test_damaged_permissions_are_refused(data):
    with pytest.raises((MessageError, NotPermittedError)):
        FRIEND.admit(data, OWNER.verification_key)


@settings(max_examples=60, deadline=None)
@given(damaged(FRIEND.public_key.to_bytes()))
def test_damaged_public_keys_are_refused(data):
    with pytest.raises((MessageError, NotPermittedError)):
        OWNER.issue(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expires": -1}, "`expires` must be an integer from 0"),
        ({"number": True}, "`number` must be an integer from 0"),
        ({"network": "x"}, "`network` must be 64 hexadecimal digits"),
        ({"key": 5.0}, "`key` must be"),
    ],
)
def test_malformed_fields_of_a_permission_are_named(fields, message):
    with pytest.raises(MessageError, match=message):
        FRIEND.admit(with_fields(Kind.PERMISSION, ISSUED.permission.to_bytes(), **fields), OWNER.verification_key)


def test_arguments_that_do_not_go_together_are_refused():
    owner, client, prepared = parties(CIRCUIT)
    plain = compile_exact(table_network(), security="insecure", images=4)
    with pytest.raises(ParameterError, match="`network` and `owner` must be given"):
        prepared.session(client.evaluation_keys)
    with pytest.raises(ParameterError, match='compile it with weights="encrypted"'):
        ModelOwner(plain)
    x = inputs(NETWORK, 1)
    for use in (ModelOwner, connect, lambda c: simulate(c, x), lambda c: simulate_guards(c, x)):
        with pytest.raises(ParameterError, match="the circuit has no weights: give the model owner's"):
            use(owner.circuit)
    other = Client(plain.interface, policy=Policy.trusting("insecure"))
    with pytest.raises(ParameterError, match="must be left out: weights are plain"):
        prepare(plain).session(other.evaluation_keys, network=b"", owner=owner.verification_key)
    with pytest.raises(ParameterError, match="the circuit needs no public key"):
        _ = other.public_key
    session = prepare(plain).session(other.evaluation_keys)
    assert session.permission is None
    for refused in (
        lambda: session.revoke(owner.revocation),
        lambda: session.evaluate_in_the_clear(b"", inputs(NETWORK, 1)),
        other.invite,
    ):
        with pytest.raises(NotPermittedError, match="weights are plain"):
            refused()
    with pytest.raises(MessageError, match="another circuit"):
        owner.issue(PublicKey.sealed("0" * 64, "0" * 64, bytes(client.public_key.data)))
    for bad in (b"", b"x" * 33):
        with pytest.raises(ValueError, match="`owner` must be 32 bytes"):
            client.admit(b"", bad)
        with pytest.raises(ValueError, match="`signing_seed` must have 32 bytes"):
            ModelOwner(CIRCUIT, signing_seed=bad)
    with pytest.raises(ValueError, match="a public key's name must be 64 hexadecimal digits"):
        owner.permit("client")
    with pytest.raises(ValueError, match="`seconds` must"):
        owner.issue(client.public_key, seconds=0)


def test_an_invitation_holds_no_ciphertexts_and_has_one_answer():
    session = session_of(PREPARED, FRIEND, OWNER, ISSUED)
    FRIEND.admit(session.permission, OWNER.verification_key)
    x = inputs(NETWORK, 1)
    request, invitation = FRIEND.encrypt(x), FRIEND.invite()
    with pytest.raises(MessageError, match="must hold no ciphertexts"):
        session.evaluate_in_the_clear(request, x)
    with pytest.raises(MessageError, match="cannot be evaluated"):
        session.evaluate(invitation)
    answer = session.evaluate_in_the_clear(invitation, x)
    with pytest.raises(MessageError, match="once only"):
        session.evaluate_in_the_clear(invitation, x)
    assert np.array_equal(FRIEND.decrypt(answer, invitation), NETWORK.logits(x))


def test_mapped_keys_and_a_client_that_goes_on_from_its_state(tmp_path):
    ExpandedKeys.of(FRIEND.evaluation_keys, PREPARED.circuit.interface).save(tmp_path / "keys")
    mapped = ExpandedKeys.mapped(tmp_path / "keys", PREPARED.circuit.interface)
    session = PREPARED.session(mapped, network=ISSUED.to_bytes(), owner=OWNER.verification_key)
    FRIEND.admit(session.permission, OWNER.verification_key)
    x = inputs(NETWORK, 1)
    request, invitation = FRIEND.encrypt(x), FRIEND.invite()
    again = client_of(OWNER, FRIEND.secret_key, state=FRIEND.state())
    for answer, asked in (
        (session.evaluate(request), request),
        (session.evaluate_in_the_clear(invitation, x), invitation),
    ):
        assert np.array_equal(again.decrypt(answer, asked), NETWORK.logits(x))
    with pytest.raises(NotPermittedError, match="has admitted no permission"):
        again.encrypt(x)
    with pytest.raises(LookupError, match="no evaluation keys"):
        _ = again.public_key
    again.admit(session.permission, OWNER.verification_key)
    request = again.encrypt(x)
    assert np.array_equal(again.decrypt(session.evaluate(request), request), NETWORK.logits(x))
    stranger = client_of(OWNER)
    keys = ExpandedKeys.of(stranger.evaluation_keys, PREPARED.circuit.interface)
    with pytest.raises(NotPermittedError, match="for another key"):
        PREPARED.session(keys, network=ISSUED.to_bytes(), owner=OWNER.verification_key)
