"""What clients are told of circuits modulo several primes, and what they make of residues."""

import json
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import ParameterError, ResidueInterface, compile_exact, compile_residues, load_circuit, save_circuit, simulate
from he.circuit.residues import combined, interface_from, interfaces, room_bits
from he.circuit.store import digest
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial

NETWORK = IntNetwork(
    (3,),
    IntDomain(-1, 2),
    (
        Dense(np.array([[1, -2, 3], [2, 1, 1]]), np.array([1, -1])),
        IntPolynomial((1, 0, 1)),
        Dense(np.array([[1 << 30, -5], [3, 7]]), np.array([0, 9])),
    ),
)
PRIMES = (188417, 163841, 147457)  # 1 modulo 4096
CIRCUIT = compile_residues(NETWORK, security="insecure", plain_moduli=PRIMES)


@given(st.lists(st.sampled_from(PRIMES), min_size=1, unique=True), st.data())
def test_residues_are_combined_to_the_number_that_has_them(primes, data):
    told = CIRCUIT.interface
    reach_bits = data.draw(st.integers(0, room_bits(primes)))
    parameters = replace(told.parameters, plain_modulus=primes[0])
    interface = replace(told, parameters=parameters, moduli=tuple(primes), reach_bits=reach_bits)
    most = prod(primes) // 2
    numbers = st.integers(-most, most) | st.integers(1 - 2**reach_bits, 2**reach_bits - 1)
    values = data.draw(st.lists(numbers, min_size=1, max_size=6))
    centred = [[(v + t // 2) % t - t // 2 for v in values] for t in primes]
    result = combined(interface, [np.array(residues)[:, None] for residues in centred])
    if max(map(abs, values)) >= 2**reach_bits:
        assert result is None
    else:
        assert result.tolist() == [[v] for v in values]
        assert result.dtype == (np.int64 if reach_bits <= 63 else object)


@pytest.mark.parametrize("count", range(1, 6))
def test_there_is_room_for_every_number_below_a_power_of_two_and_not_for_the_next(count):
    primes = (40961, 65537, 114689, 147457, 163841)[:count]
    bits = room_bits(primes)
    assert 2**bits - 1 <= prod(primes) // 2 < 2 ** (bits + 1) - 1


def test_an_interface_is_written_and_read():
    told = CIRCUIT.interface
    read = interface_from(json.loads(json.dumps(told.to_dict())), told.tables)
    assert isinstance(read, ResidueInterface)
    assert (read.digest, read.moduli, read.reach_bits) == (told.digest, PRIMES, CIRCUIT.reach_bits)
    assert [one.parameters.t for one in interfaces(read)] == list(PRIMES)
    ordinary = CIRCUIT.circuits[0].interface
    assert type(interface_from(ordinary.to_dict(), ordinary.tables)) is type(ordinary)
    assert interfaces(ordinary) == (ordinary,)
    assert told.digest not in {one.interface.digest for one in CIRCUIT.circuits}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"moduli": []}, "`moduli` must be 1 to 64 integers"),
        ({"moduli": [188417] * 65}, "`moduli` must be 1 to 64 integers"),
        ({"moduli": [188417, True]}, "`moduli` must be 1 to 64 integers"),
        ({"moduli": [188417, 1.5]}, "`moduli` must be 1 to 64 integers"),
        ({"moduli": "188417"}, "malformed field: a list is due"),
        ({"moduli": [188417, 188417]}, "`moduli` must be different, and begin with 188417"),
        ({"moduli": [163841, 188417]}, "`moduli` must be different, and begin with 188417"),
        ({"moduli": [188417, 163840]}, "must be a prime"),
        ({"moduli": [188417, 7681]}, "must be a prime"),
        ({"reach_bits": 52}, "`reach_bits` must be from 0 to 51"),
        ({"reach_bits": -1}, "`reach_bits` must be from 0 to 51"),
        ({"reach_bits": 3.0}, "`reach_bits` must be from 0 to 51"),
        ({"rerandomises": True}, "`rerandomises` must be false where there are `moduli`"),
        ({"more": 1}, "got \\['more'\\] as well"),
    ],
)
def test_a_malformed_interface_is_refused(changes, told):
    fields = {**CIRCUIT.interface.to_dict(), **changes}
    with pytest.raises(ValueError, match=told):
        interface_from(fields, CIRCUIT.interface.tables)


@pytest.mark.parametrize("missing", ["moduli", "reach_bits", "parameters"])
def test_a_missing_field_is_named(missing):
    fields = CIRCUIT.interface.to_dict()
    del fields[missing]
    with pytest.raises(ValueError, match=f"must have a field '{missing}'"):
        interface_from(fields, CIRCUIT.interface.tables)


def test_all_circuits_are_bound_to_the_network():
    assert all(one.opens(NETWORK) for one in CIRCUIT.circuits)
    assert len({one.interface.commitment for one in CIRCUIT.circuits}) == 1


def test_the_usual_modulus_is_refused_where_a_client_would_be_told_wrong():
    with pytest.raises(ParameterError, match="compile_residues"):
        compile_exact(NETWORK, security="insecure", plain_modulus=PRIMES[0])


def test_a_circuit_is_stored_and_read(tmp_path):
    save_circuit(CIRCUIT, tmp_path / "circuit")
    loaded = load_circuit(tmp_path / "circuit")
    assert digest(loaded) == digest(CIRCUIT)
    assert loaded.interface.digest == CIRCUIT.interface.digest
    assert loaded.explain() == CIRCUIT.explain()
    x = np.array([[2, -1, 2]])
    assert simulate(loaded, x).tolist() == NETWORK.logits(x).tolist()
