"""What interfaces say of keys: written and read, and refused where it is not the program's or not the parameters'."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import compile_approximate, compile_exact
from he.circuit.interface import Interface
from he.circuit.key_levels import KeyLevels
from he.program.placed import key_uses
from he.readers.key_switching import key_switch_norm
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import ParameterError
from he.testing import square_graph, table_network

CIRCUITS = {
    "bfv": compile_exact(table_network(), images=4, security="insecure"),
    "ckks": compile_approximate(square_graph(), images=4, security="insecure"),
}


def several(circuit, most=3):
    """The circuit with as many special primes as there are, up to some, that are no noisier than one."""
    interface, parameters = circuit.interface, circuit.parameters

    def able(level):
        found = (Gadget.of(parameters, level, n) for n in range(1, min(most, parameters.levels + 1 - level) + 1))
        usual = key_switch_norm(Gadget.of(parameters, level))
        return max(gadget.specials for gadget in found if key_switch_norm(gadget) <= usual)

    gadgets = Gadgets.of(parameters, [able(level) for level in range(1, parameters.levels + 1)])
    levels = KeyLevels.of(circuit.program, gadgets, parameters, interface.key_elements)
    return replace(circuit, interface=replace(interface, key_levels=levels))


@pytest.fixture(params=CIRCUITS)
def circuit(request):
    return CIRCUITS[request.param]


@given(st.lists(st.integers(1, 9), max_size=5), st.lists(st.sets(st.integers(1, 20), max_size=4), max_size=5))
def test_what_is_written_is_read(specials, levels):
    stated = KeyLevels(tuple(specials), tuple(tuple(sorted(some)) for some in levels))
    assert KeyLevels.from_list(stated.to_list()) == stated


@pytest.mark.parametrize(
    "fields", [None, [], [[1]], [[1], [1]], [[1], [[2, 1]]], [[1], [[1, 1]]], [[1], [[0]]], [[1], [[True]]], [1, [[1]]]]
)
def test_malformed_fields_are_refused(fields):
    with pytest.raises((TypeError, ValueError)):
        KeyLevels.from_list(fields)


def test_keys_reach_the_highest_level_of_their_use_and_no_further(circuit):
    interface, uses = several(circuit).interface, key_uses(circuit.program, circuit.parameters)
    assert {element for element, _ in interface.keys} == set(uses) == set(interface.key_elements)
    for element, levels in uses.items():
        own = [gadget for other, gadget in interface.keys if other == element]
        assert max(gadget.level for gadget in own) == max(levels)
        for level in levels:  # one key serves, with the special primes of the level
            assert sum(g.specials == interface.gadgets.at(level).specials and g.level >= level for g in own) == 1


def test_without_levels_keys_are_for_all_of_them_and_nothing_is_written(circuit):
    interface, parameters = circuit.interface, circuit.parameters
    whole = Gadget.of(parameters, parameters.levels)
    assert interface.keys == [(element, whole) for element in interface.key_elements]
    assert "key_levels" not in interface.to_dict()
    assert several(circuit).with_usual_keys().interface.digest == interface.digest


def test_an_interface_is_read_back_with_its_levels(circuit):
    interface = several(circuit).interface
    again = Interface.from_dict(interface.to_dict(), interface.tables)
    assert (again.key_levels, again.digest, again.keys) == (interface.key_levels, interface.digest, interface.keys)
    assert again.digest != circuit.interface.digest
    assert again.key_bytes < circuit.interface.key_bytes


def test_levels_that_parameters_do_not_have_are_refused(circuit):
    interface = several(circuit).interface
    stated, most = interface.key_levels, circuit.parameters.levels
    for levels in (stated.levels[1:], (*stated.levels, (1,)), ((most + 1,), *stated.levels[1:])):
        with pytest.raises(ValueError, match=f"`levels` must be from 1 to {most} for each of"):
            replace(interface, key_levels=replace(stated, levels=levels))
    for specials in (stated.specials[1:], (*stated.specials[:-1], 2), (0, *stated.specials[1:])):
        with pytest.raises(ParameterError, match="`specials` must"):
            replace(interface, key_levels=replace(stated, specials=specials))


def test_primes_that_no_kernel_has_are_refused():
    interface = CIRCUITS["ckks"].interface
    parameters = replace(interface.parameters, coeff_modulus_bits=(60,) * (interface.parameters.levels + 1))
    levels = several(CIRCUITS["ckks"]).interface.key_levels
    assert replace(interface, parameters=parameters)
    with pytest.raises(ValueError, match="`key_levels` must go with primes of at most 50 bits"):
        replace(interface, parameters=parameters, key_levels=levels)


def test_a_circuit_has_the_levels_of_its_program(circuit):
    other = several(circuit)
    stated = other.interface.key_levels
    levels = ((1,) if stated.levels[0] != (1,) else (2,), *stated.levels[1:])
    with pytest.raises(ValueError, match="the interface must describe the program: its key levels are"):
        replace(other, interface=replace(other.interface, key_levels=replace(stated, levels=levels)))
