"""Every check passes on what is sound, and fails on what is broken."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Parameters, compile_approximate, compile_exact
from he.formats.messages import Kind, open_message, seal_message
from he.testing import (
    damage_is_refused,
    damaged,
    encrypted_equals_plain,
    extremes,
    inputs,
    parameter_sets,
    simulation_equals_plain,
    square_graph,
    survives_storage,
    table_network,
)
from intnn import Dense

EXACT = table_network(), compile_exact(table_network(), images=2, security="insecure")
APPROXIMATE = square_graph(), compile_approximate(square_graph(), images=2, security="insecure")


@pytest.mark.parametrize(("network", "circuit"), [EXACT, APPROXIMATE], ids=["exact", "approximate"])
def test_what_is_sound_passes(network, circuit, tmp_path):
    x = inputs(network, 2)
    encrypted_equals_plain(circuit, network, x)
    encrypted_equals_plain(circuit, network, x, "seal")
    simulation_equals_plain(circuit, network, x)
    survives_storage(circuit, tmp_path)


@pytest.mark.parametrize(("network", "circuit"), [EXACT, APPROXIMATE], ids=["exact", "approximate"])
def test_another_network_is_found_out(network, circuit):
    *rest, last = network.layers if network is EXACT[0] else network.nodes
    fields = {"layers" if network is EXACT[0] else "nodes": (*rest, Dense(last.weight + 1, last.bias))}
    other, x = replace(network, **fields), inputs(network, 2)
    with pytest.raises(AssertionError, match=r"engine rns: logit \(\d, \d\) must be"):
        encrypted_equals_plain(circuit, other, x)
    with pytest.raises(AssertionError, match="simulation: logit"):
        simulation_equals_plain(circuit, other, x)


def test_a_promise_of_too_much_budget_is_found_out():
    network, circuit = EXACT
    with pytest.raises(AssertionError, match=r"at least 1000\.0 bits of budget must be left"):
        encrypted_equals_plain(replace(circuit, output_bound=1000.0), network, inputs(network, 1))


@settings(max_examples=50)
@given(st.data())
def test_damage_to_messages_is_refused(data):
    message = seal_message(Kind.REQUEST, {"images": 1}, [b"part"])
    damage_is_refused(lambda bytes_: open_message(Kind.REQUEST, bytes_), data.draw(damaged(message)))


def test_readers_that_accept_or_crash_are_found_out():
    with pytest.raises(AssertionError, match="must be refused, got 3"):
        damage_is_refused(len, b"abc")
    with pytest.raises(AssertionError, match="with a ValueError, got KeyError"):
        damage_is_refused(lambda _: {}["key"], b"abc")


@settings(max_examples=25)
@given(parameter_sets())
def test_parameter_sets_are_of_both_schemes_and_survive_json(parameters):
    assert Parameters.from_dict(parameters.to_dict()) == parameters


def test_extremes_are_ends_of_the_domain():
    x = extremes(table_network(), 4)
    assert set(np.unique(x)) <= {0, 1}
