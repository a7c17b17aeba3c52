"""What tests of the parties share: networks of either scheme, and images for them."""

import numpy as np

from he.testing import inputs, square_graph, table_network

NETWORKS = {"bfv": table_network(), "ckks": square_graph()}


def network_of(party):
    return NETWORKS[party.circuit.parameters.scheme]


def images_for(party, batch=3):
    return inputs(network_of(party), batch)


def assert_right(party, logits, images):
    tolerance = party.circuit.interface.tolerance
    assert np.all(np.abs(logits - network_of(party).logits(images)) <= tolerance)


def stranger(strangers, party):
    return strangers[party.circuit.parameters.scheme]
