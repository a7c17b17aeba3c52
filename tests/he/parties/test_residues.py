"""Clients and sessions of circuits modulo several primes: one key, one request, one answer."""

from dataclasses import replace

import numpy as np
import pytest

from he import (
    Client,
    DecryptionError,
    KeyRetiredError,
    MessageError,
    ParameterError,
    Policy,
    PolicyError,
    PreparedCircuit,
    SecretKey,
    compile_residues,
    connect,
    interface_bytes,
    prepare,
)
from he.formats.messages import Kind, message_digest, open_message, seal_message
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial
from tests.he.forge import with_fields, with_part

NETWORK = IntNetwork(
    (3,),
    IntDomain(-2, 2),
    (
        Dense(np.array([[1, -2, 3], [2, 1, 1]]), np.array([1, -1])),
        IntPolynomial((0, 0, 1)),
        Dense(np.array([[1 << 24, -(1 << 20)], [3, 7]]), np.array([0, 9])),
    ),
)
PRIMES = (188417, 163841, 147457, 114689)  # one more than needed, so that hardly any residues are a logit's
IMAGES = np.array([[2, -1, 0], [-2, 2, 1]])
OTHERS = np.array([[0, 1, 2], [1, 1, 1]])
CIRCUIT = compile_residues(NETWORK, images=2, security="insecure", plain_moduli=PRIMES)
PREPARED = prepare(CIRCUIT, threads=1)


def parties(**changes):
    policy = replace(Policy(security="insecure", least_copies=0, least_guards=0), **changes)
    client = Client(interface_bytes(CIRCUIT.interface), policy=policy)
    return client, PREPARED.session(client.evaluation_keys.to_bytes(), 1)


def parts_of(answer):
    return [bytes(part) for part in open_message(Kind.RESPONSE, answer)[1]]


@pytest.mark.parametrize("engine", ["rns", "seal"])
@pytest.mark.parametrize("packing", ["latency", "throughput"])
def test_an_answer_is_the_networks_logits(engine, packing):
    circuit = compile_residues(NETWORK, images=2, security="insecure", packing=packing, plain_moduli=PRIMES)
    client, session = connect(circuit, engine=engine, threads=1)
    request = client.encrypt(IMAGES)
    assert isinstance(request, bytes)
    logits = client.decrypt(session.evaluate(request), request)
    assert logits.tolist() == NETWORK.logits(IMAGES).tolist()
    assert logits.dtype == np.int64


def test_one_secret_and_one_set_of_keys_serve_all_primes():
    client, session = parties()
    first = CIRCUIT.circuits[0].interface
    alone = SecretKey.generate(first.parameters).evaluation_keys(first)
    assert len(client.evaluation_keys.data) == len(alone.data)
    assert client.secret_key.parameters == first.parameters
    evaluators = session.evaluator._each
    assert len(evaluators) == len(PRIMES)
    assert all(one.keys is evaluators[0].keys for one in evaluators)


def test_a_stored_key_serves_another_client(tmp_path):
    client, session = parties()
    client.secret_key.save(tmp_path / "key", "word")
    key = SecretKey.load(tmp_path / "key", "word", CIRCUIT.interface.parameters)
    other = Client(CIRCUIT.interface, key, client.evaluation_keys, policy=client.policy)
    assert other.decrypt(session.evaluate(other.encrypt(IMAGES))).tolist() == NETWORK.logits(IMAGES).tolist()


def test_a_secret_is_given_to_no_other_parameters():
    key = SecretKey.generate(CIRCUIT.interface.parameters)
    other = replace(key.parameters, coeff_modulus_bits=(*key.parameters.coeff_modulus_bits, 50))
    with pytest.raises(ParameterError, match="must differ from the key's in the plaintext modulus alone"):
        key.with_modulus(other)
    assert key.with_modulus(key.parameters) is key


@pytest.mark.parametrize("residue", range(len(PRIMES)))
def test_a_residue_of_another_image_is_no_result(residue):
    """Its ciphertext is sound and has budget left, but no logit of the network has these residues."""
    client, session = parties()
    request, other = client.encrypt(IMAGES), client.encrypt(OTHERS)
    answer, foreign = session.evaluate(request), session.evaluate(other)
    forged = with_part(Kind.RESPONSE, answer, parts_of(foreign)[residue], residue)
    with pytest.raises(DecryptionError, match="does not decrypt to a result"):
        client.decrypt(forged, request)
    assert client.decrypt(foreign, other).tolist() == NETWORK.logits(OTHERS).tolist()


@pytest.mark.parametrize("residue", range(len(PRIMES)))
def test_a_residue_that_decrypts_to_nothing_is_no_result(residue):
    client, session = parties()
    request = client.encrypt(IMAGES)
    answer = session.evaluate(request)
    swapped = parts_of(answer)[(residue + 1) % len(PRIMES)]  # that of another modulus, under the same key
    with pytest.raises(DecryptionError, match="does not decrypt to a result"):
        client.decrypt(with_part(Kind.RESPONSE, answer, swapped, residue), request)


def test_refusals_are_counted_once_and_destroy_all_ciphers():
    client, session = parties(most_refusals=2)
    for left in (1, 0):
        request, waiting = client.encrypt(IMAGES), client.encrypt(OTHERS)
        answer = session.evaluate(request)
        parts = parts_of(answer)[::-1]  # all residues are wrong
        fields = open_message(Kind.RESPONSE, answer)[0]
        with pytest.raises(DecryptionError):
            client.decrypt(seal_message(Kind.RESPONSE, fields, parts), request)
        if left:
            client.decrypt(session.evaluate(waiting), waiting)
    for call in (lambda: client.encrypt(IMAGES), lambda: client.secret_key):
        with pytest.raises(KeyRetiredError, match="after 3 answers, of which it refused 2"):
            call()
    assert not client._ciphers


def test_a_message_with_other_parts_uses_no_key():
    client, session = parties(most_refusals=1)
    request = client.encrypt(IMAGES)
    answer = session.evaluate(request)
    few = with_part(Kind.RESPONSE, answer, b"")
    with pytest.raises(MessageError, match=r"a response must hold 4 ciphertext\(s\), got 3"):
        client.decrypt(few, request)
    with pytest.raises(MessageError, match="truncated or damaged"):
        client.decrypt(answer[:-1], request)
    with pytest.raises(MessageError, match="another circuit"):
        client.decrypt(with_fields(Kind.RESPONSE, answer, circuit=CIRCUIT.circuits[0].interface.digest), request)
    with pytest.raises(MessageError, match="the request cannot be evaluated: `inputs` must be as many for each"):
        session.evaluate(with_part(Kind.REQUEST, client.encrypt(IMAGES), b""))
    assert client.decrypt(answer, request).tolist() == NETWORK.logits(IMAGES).tolist()  # it is still open


def test_keys_of_one_of_the_circuits_are_for_another():
    first = CIRCUIT.circuits[0].interface
    keys = SecretKey.generate(first.parameters).evaluation_keys(first)
    with pytest.raises(MessageError, match="made for another circuit"):
        PREPARED.session(keys)


def test_sizes_count_for_all_primes():
    client, session = parties()
    request = client.encrypt(IMAGES)
    answer = session.evaluate(request)
    for limit, name, size in (("most_request_bytes", "gather", request), ("most_answer_bytes", "output", answer)):
        with pytest.raises(PolicyError, match=f"`{name}` must be at most"):
            parties(**{limit: len(size) // 2})
    assert message_digest(request) == open_message(Kind.RESPONSE, answer)[0]["request"]


@pytest.mark.parametrize("engine", ["rns", "seal"])
def test_prepared_circuits_are_stored_and_read(engine, tmp_path):
    prepared = prepare(CIRCUIT, engine, 1)
    prepared.save(tmp_path / "prepared")
    loaded = PreparedCircuit.load(tmp_path / "prepared", CIRCUIT, engine)
    client, session = connect(loaded, threads=1)
    assert client.decrypt(session.evaluate(client.encrypt(IMAGES))).tolist() == NETWORK.logits(IMAGES).tolist()
