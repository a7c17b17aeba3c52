"""The commitment to a network: it opens to one network, and says nothing of it."""

from dataclasses import replace

import numpy as np
import pytest

from he import compile_approximate, compile_exact, load_circuit, save_circuit
from he.circuit.commitment import commitment
from he.testing import square_graph, table_network

SALT, OTHER = bytes(range(32)), bytes(range(1, 33))


def retrained(network):
    """The network with one weight, in its last layer, another one."""
    *layers, last = network.layers
    weight = last.weight.copy()
    weight[0, 0] += 1
    return replace(network, layers=(*layers, replace(last, weight=weight)))


def test_a_retrained_network_is_another_circuit():
    network = table_network()
    circuit = compile_exact(network, images=4, security="insecure", salt=SALT)
    other = compile_exact(retrained(network), images=4, security="insecure", salt=SALT)
    assert circuit.interface.digest != other.interface.digest
    assert circuit.opens(network)
    assert not circuit.opens(retrained(network))
    assert not other.opens(network)


def test_with_one_salt_compiling_again_gives_the_same_circuit():
    graph = square_graph()
    circuits = [compile_approximate(graph, security="insecure", salt=salt) for salt in (SALT, SALT, OTHER, None)]
    digests = [circuit.interface.digest for circuit in circuits]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert all(circuit.opens(graph) for circuit in circuits)
    assert circuits[3].salt not in (SALT, OTHER, bytes(32))


def test_the_commitment_does_not_depend_on_the_network_without_its_salt():
    """A dictionary of candidates is of no use: the same network under other salts has unrelated commitments."""
    network = table_network()
    assert len({commitment(network, bytes([i]) * 32) for i in range(9)} | {network.fingerprint}) == 10


def test_every_part_of_a_network_counts():
    network, graph = table_network(), square_graph()
    first, *rest = network.layers
    bias = first.bias + (np.arange(len(first.bias)) == 1)
    others = [
        network,
        replace(network, input_scale=2.0),
        replace(network, layers=(replace(first, bias=bias), *rest)),
        replace(network, layers=(replace(first, weight=-first.weight), *rest)),
        graph,
        replace(graph, name="another"),
    ]
    assert len({commitment(other, SALT) for other in others}) == len(others)


def test_a_stored_circuit_still_opens(tmp_path):
    network = table_network()
    circuit = compile_exact(network, security="insecure")
    save_circuit(circuit, tmp_path / "circuit.he")
    loaded = load_circuit(tmp_path / "circuit.he")
    assert (loaded.salt, loaded.opens(network)) == (circuit.salt, True)


def test_the_salt_is_told_to_nobody():
    circuit = compile_exact(table_network(), security="insecure", salt=SALT)
    assert SALT.hex() not in str(circuit.interface.to_dict()) + repr(circuit) + circuit.explain()
    assert repr(SALT) not in repr(circuit)


@pytest.mark.parametrize(
    ("salt", "error", "message"),
    [
        ("0" * 32, TypeError, "`salt` must be bytes, got str; draw one"),
        (bytes(31), ValueError, "`salt` must have 32 bytes, got 31"),
        (b"", ValueError, "`salt` must have 32 bytes, got 0"),
    ],
)
def test_other_salts_are_refused(salt, error, message):
    with pytest.raises(error, match=message):
        compile_exact(table_network(), security="insecure", salt=salt)
    with pytest.raises(error, match=message):
        commitment(square_graph(), salt)


def test_what_is_no_network_has_no_commitment():
    with pytest.raises(TypeError, match="`network` must be an IntNetwork or a Graph, got list"):
        commitment([], SALT)
