"""Interfaces as a server publishes them: malformed ones are refused, and none tells a weight."""

from dataclasses import replace

import pytest

from he import (
    Client,
    MessageError,
    Policy,
    PolicyError,
    compile_exact,
    interface_bytes,
)
from he.circuit.interface import Interface
from he.formats.messages import Kind, seal_message
from he.testing import table_network


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": None},
        {"parameters": {}},
        {"parameters": {"scheme": "bfv"}},
        {"inputs": []},
        {"inputs": None},
        {"inputs": [{}]},
        {"inputs": "images"},
        {"shape": 5},
        {"shape": ["5"]},
        {"owner": "model"},
        {"owner": "nobody"},
        {"kind": "secret"},
        {"name": "two words"},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"scale": "1"},
        {"scale": 10**400},
        {"shape": [-1, -5]},
        {"shape": [5.0]},
        {"features": 5.0},
        {"range": [0, 70000]},
        {"range": [0, 1.5]},
        {"range": [0, 10**400]},
        {"output": [4, 3.0]},
        {"packing": [2, 512, True, True, 0]},
        {"packing": [2, 512, 2, True, 0.5]},
        {"rotation_steps": ""},
        {"rotation_steps": {}},
        {"rotation_steps": [4, 4]},
        {"rotation_steps": [True]},
        {"tolerance": 10**400},
        {"output_scale": 10**400},
        {"surplus": 1},
        {"range": [0]},
        {"range": [1, 0]},
        {"range": ["0", "1"]},
        {"packing": [2, 512, 3, True]},
        {"packing": [2, 1024, 2, True]},
        {"packing": [1, 512, 2, False]},
        {"packing": "2"},
        {"features": 6},
        {"features": "5"},
        {"gather": []},
        {"gather": None},
        {"gather": [1, 2]},
        {"gather": [1, 5, 1.0]},
        {"gather": [1 << 40, 1 << 40, 1]},
        {"inputs": [3]},
        {"inputs": ["name"]},
        {"output": [4]},
        {"output": [0, 3]},
        {"output": [3, 3]},
        {"packing": [2, 512, 2, True, 2]},
        {"output": [4, 0]},
        {"output": [4096, 3]},
        {"rotation_steps": None},
        {"rotation_steps": ["1"]},
        {"swaps_rows": "no"},
        {"multiplies": None},
        {"tolerance": "0"},
        {"tolerance": -1.0},
        {"tolerance": float("nan")},
        {"output_scale": None},
        {"output_scale": 0.0},
    ],
)
def test_a_malformed_interface_is_refused(exact, changes):
    fields = exact.circuit.interface.to_dict()
    for name, value in changes.items():
        (fields["inputs"][0] if name in fields["inputs"][0] else fields)[name] = value
    with pytest.raises(MessageError, match=r"the (interface|header of the message with interface) is malformed"):
        Client(message(fields, exact))
    with pytest.raises(ValueError, match=r"\w"):
        Interface.from_dict(fields, exact.circuit.interface.tables)


def test_an_input_with_a_field_too_many_is_refused(exact):
    fields = exact.circuit.interface.to_dict()
    fields["inputs"][0]["surplus"] = 1
    with pytest.raises(
        MessageError, match=r"an input must have the fields \['features', .* alone, got \['surplus'\] as well"
    ):
        Client(message(fields, exact))


def message(fields, party):
    return seal_message(Kind.INTERFACE, fields, [table.tobytes() for table in party.circuit.interface.tables])


def test_tables_are_as_many_as_inputs_and_whole_numbers(exact):
    fields, (table,) = exact.circuit.interface.to_dict(), exact.circuit.interface.tables
    data = table.tobytes()
    assert Client(seal_message(Kind.INTERFACE, fields, [data]), policy=Policy(security="insecure")).interface.digest
    for parts in ([], [data, data], [data[:-4]], [data + bytes(4)], [data[:-1]], [b"\xff" * len(data)]):
        with pytest.raises(MessageError, match="the interface is malformed"):
            Client(seal_message(Kind.INTERFACE, fields, parts))


def test_an_interface_without_a_field_names_it(exact):
    whole = exact.circuit.interface.to_dict()
    for name in (*whole, *whole["inputs"][0]):
        fields = exact.circuit.interface.to_dict()
        del (fields if name in fields else fields["inputs"][0])[name]
        with pytest.raises(MessageError, match=f"the interface is malformed: an interface must have a field '{name}'"):
            Client(message(fields, exact))


def test_an_insecure_interface_is_refused_unless_it_was_asked_for(party):
    data = interface_bytes(party.circuit.interface)
    with pytest.raises(PolicyError, match='`security` must be "128" by the client\'s policy, got insecure'):
        Client(data)
    assert Client(data, policy=Policy(security="insecure")).interface.digest == party.circuit.interface.digest


def test_nothing_in_an_interface_is_a_weight(exact):
    """The client of a network with other weights in the same places is told the same, but for the commitment."""
    network = table_network()
    first, table, last = network.layers
    other = type(network)(
        network.input_shape,
        network.input_domain,
        (type(first)(-first.weight, first.bias), table, type(last)(last.weight[::-1] + 1, last.bias * 2)),
    )
    told, own = compile_exact(other, images=4, security="insecure").interface, exact.circuit.interface
    assert told.commitment != own.commitment  # which is random to whoever has no salt
    assert replace(told, commitment=own.commitment).digest == own.digest
