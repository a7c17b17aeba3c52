"""What tests of the parties share: networks of either scheme, images for them, and questions for answers."""

import secrets

import numpy as np

from he.formats.messages import Kind, message_digest
from he.testing import inputs, square_graph, table_network
from tests.he.forge import with_fields

NETWORKS = {"bfv": table_network(), "ckks": square_graph()}


def network_of(party):
    return NETWORKS[party.circuit.parameters.scheme]


def images_for(party, batch=3):
    return inputs(network_of(party), batch)


def decrypted(party, answer):
    """What the client makes of an answer to a new request for the same images: every question has one answer."""
    request = party.client.encrypt(images_for(party))
    return party.client.decrypt(with_fields(Kind.RESPONSE, answer, request=message_digest(request)), request)


def in_order(packing):
    """What stands for `he.parties.questions.secret_order` where a test compares requests."""
    return np.broadcast_to(np.arange(packing.lanes), (packing.rows, packing.lanes))


def renewed(asked):
    """The request as one that no session has seen."""
    return with_fields(Kind.REQUEST, asked, nonce=secrets.token_hex(16))


def assert_right(party, logits, images):
    tolerance = party.circuit.interface.tolerance
    assert np.all(np.abs(logits - network_of(party).logits(images)) <= tolerance)


def stranger(strangers, party):
    return strangers[party.circuit.parameters.scheme]
