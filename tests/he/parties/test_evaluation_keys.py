"""Evaluation keys that no session can use: exactly the circuit's keys are read, and nothing else."""

import tracemalloc

import pytest
import tenseal.sealapi as sealapi

from he import MessageError, SecretKey, prepare
from he.formats import switching
from he.formats.messages import Kind, seal_message
from he.formats.seal_bridge import create_context, from_bytes
from he.parties.evaluation_keys import EvaluationKeys
from tests.he.forge import part_of, seal_bomb, with_part


@pytest.fixture
def keys(exchange):
    """A party, and its evaluation keys as they travel."""
    party, _, _ = exchange
    return party, party.client.evaluation_keys.to_bytes()


def forgeries(party, data):
    """Bytes that are not exactly the circuit's keys."""
    parameters = party.circuit.parameters
    one, digit = (
        switching.key_bytes(parameters, parameters.levels),
        switching.key_bytes(parameters, parameters.levels) // parameters.levels,
    )
    key_id = create_context(parameters).key_parms_id()
    return [
        b"",  # none
        b"noise",  # noise
        data[:-1],  # a byte short
        data + b"\0",  # a byte too many
        data[: len(data) // 2],  # half
        data[:-one],  # a key missing
        data[:-digit],  # a digit missing
        data + data[-one:],  # a key that nobody asked for
        seal_bomb(key_id, parameters.poly_modulus_degree, parameters.levels + 1, keys=True),  # SEAL's sizes
        switching.restored(data, parameters, party.circuit.interface.key_elements, key_id)[1],  # SEAL's own
    ]


def test_what_is_not_exactly_the_circuits_keys_is_refused(keys):
    party, message = keys
    prepared = prepare(party.circuit)
    for forged in forgeries(party, part_of(Kind.EVALUATION_KEYS, message)):
        with pytest.raises(
            MessageError, match=r"must be exactly the circuit's \d+, of|with evaluation keys must have at"
        ):
            prepared.session(with_part(Kind.EVALUATION_KEYS, message, forged))


@pytest.mark.parametrize("engine", ["rns", "seal"])
def test_residues_beyond_their_primes_are_refused_wherever_they_are(keys, engine):
    party, message = keys
    prepared, form_bytes = (
        prepare(party.circuit, engine),
        switching.key_bytes(party.circuit.parameters, party.circuit.parameters.levels),
    )
    data = part_of(Kind.EVALUATION_KEYS, message)
    for start in range(0, len(data), form_bytes):
        forged = data[:start] + b"\xff" * 64 + data[start + 64 :]
        with pytest.raises(MessageError, match=r"the evaluation keys are unusable: .* must be below their primes"):
            prepared.session(with_part(Kind.EVALUATION_KEYS, message, forged))


def test_keys_in_more_parts_than_one_are_refused(keys):
    party, message = keys
    data = part_of(Kind.EVALUATION_KEYS, message)
    with pytest.raises(MessageError, match="evaluation keys must have one part at most, got 2"):
        EvaluationKeys(
            seal_message(Kind.EVALUATION_KEYS, {"circuit": party.circuit.interface.digest}, [data[:9], data[9:]])
        )


def test_keys_are_read_as_seal_reads_them(party):
    """Seeds are expanded as SEAL expands them, for every key of the interface and in its order."""
    interface, secret = party.circuit.interface, party.client.secret_key
    data = party.client.evaluation_keys.data
    read = dict(switching.read(data, interface.parameters, interface.key_elements))
    assert list(read) == interface.key_elements
    key_id = secret.context.key_parms_id()
    for made, elements in zip(
        switching.restored(data, interface.parameters, interface.key_elements, key_id),
        ([1], interface.galois_elements),
        strict=True,
    ):
        theirs = seal_object(secret, made, relinearisation=elements == [1])
        for element in elements:
            digits = theirs.data(0 if element == 1 else element // 2)
            for ours, digit in zip(read[element], digits, strict=True):
                ciphertext = digit.data()
                assert ours.ravel().tolist() == [ciphertext[i] for i in range(ours.size)]


def seal_object(secret: SecretKey, data: bytes, relinearisation: bool):
    """SEAL's keys, which SEAL reads from what was written for it."""
    return from_bytes((sealapi.RelinKeys if relinearisation else sealapi.GaloisKeys)(), secret.context, data)


def test_reading_keys_takes_no_copy_of_their_message(keys):
    party, message = keys
    prepared = prepare(party.circuit)
    prepared.session(message)  # compiles
    tracemalloc.start()
    held = EvaluationKeys.from_bytes(message)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held.to_bytes() is message
    assert peak < 50_000 < len(message)


def test_every_key_of_an_interface_has_its_place(party):
    interface = party.circuit.interface
    assert interface.key_elements == [1, *interface.galois_elements]
    one = switching.key_bytes(interface.parameters, interface.parameters.levels)
    assert len(party.client.evaluation_keys.data) == len(interface.key_elements) * one
