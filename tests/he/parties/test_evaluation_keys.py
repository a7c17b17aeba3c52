"""Evaluation keys that no session can use."""

import pytest
import tenseal.sealapi as sealapi

from he import (
    MessageError,
    prepare,
)
from he.engines.seal.engine import SealEngine
from he.formats.messages import Kind, open_message, seal_message
from he.formats.seal_bridge import create_context, to_bytes
from tests.he.forge import part_of, with_part
from tests.he.parties.exchange import foreign_parameters, fresh_ciphertext


@pytest.mark.parametrize("part", [0, 1])
def test_unusable_evaluation_keys_are_refused(exchange, part):
    party, _, _ = exchange
    keys = party.client.evaluation_keys.to_bytes()
    original = part_of(Kind.EVALUATION_KEYS, keys, part)
    other = create_context(foreign_parameters(party))
    generator = sealapi.KeyGenerator(other)
    elements = party.circuit.interface.galois_elements
    foreign = generator.create_galois_keys(elements) if part else generator.create_relin_keys()
    for forged in (
        b"",
        b"noise",
        original[:-1],
        original[: len(original) // 2],
        bytes(len(original)),
        to_bytes(foreign),
        to_bytes(fresh_ciphertext(party)),
    ):
        with pytest.raises(MessageError, match="the evaluation keys are unusable"):
            prepare(party.circuit).session(with_part(Kind.EVALUATION_KEYS, keys, forged, part))


def test_keys_in_each_others_place_are_refused(exchange):
    party, _, _ = exchange
    fields, (relin, galois) = open_message(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes())
    with pytest.raises(MessageError, match="the evaluation keys are unusable"):
        prepare(party.circuit).session(seal_message(Kind.EVALUATION_KEYS, fields, [galois, relin]))


def test_a_missing_rotation_key_is_counted(exchange):
    party, _, _ = exchange
    generator = sealapi.KeyGenerator(create_context(party.circuit.parameters))
    fewer = to_bytes(generator.create_galois_keys(party.circuit.interface.galois_elements[:-1]))
    with pytest.raises(MessageError, match="a key for every rotation of the circuit; 1 are missing"):
        prepare(party.circuit).session(
            with_part(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes(), fewer, 1)
        )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_evaluation_keys_have_two_parts(exchange, count):
    party, _, _ = exchange
    fields, parts = open_message(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes())
    with pytest.raises(MessageError, match=f"evaluation keys must have two parts, got {count}"):
        prepare(party.circuit).session(seal_message(Kind.EVALUATION_KEYS, fields, (parts * 2)[:count]))


def test_the_engine_says_which_key_is_missing(exact):
    galois = part_of(Kind.EVALUATION_KEYS, exact.client.evaluation_keys.to_bytes(), 1)
    with pytest.raises(ValueError, match="`relinearisation_key` must be given: the circuit multiplies"):
        SealEngine().prepare(exact.circuit).bind(None, galois)
