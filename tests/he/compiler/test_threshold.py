"""Circuits for a key of two owners: the room that floods need is there, or the network is refused."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Interface, ParameterError, Parameters, compile_approximate, compile_exact, load_circuit, save_circuit
from he.program.algebra import run
from he.readers import flooding
from he.readers.noise_bfv import BfvNoiseAlgebra
from he.testing import compiled, square_graph, table_network, table_networks

OPTIONS = {"weights": "encrypted", "security": "insecure"}


def left(circuit, bits):
    """By how many bits the noise of an answer is below what is hidden."""
    parameters, interface = circuit.parameters, circuit.interface
    values = run(circuit.program, BfvNoiseAlgebra(parameters, gadgets=interface.gadgets))
    noise = values[0].largest + flooding.added_noise(parameters, interface.output_level)
    return flooding.hidden_noise(parameters.poly_modulus_degree, interface.ciphertexts, bits) / noise


@settings(max_examples=5, deadline=None)
@given(network=table_networks(1, max_points=9), bits=st.integers(1, 80))
def test_the_noise_of_any_network_is_hidden_up_to_the_bits_that_were_asked_for(network, bits):
    circuit = compiled(network, threshold=bits, **OPTIONS)
    assert (circuit.interface.threshold, circuit.parameters.owners) == (bits, 2)
    assert left(circuit, bits) >= 1
    assert flooding.uniform_noise(circuit.parameters, circuit.interface.output_level) < 1 / 4
    assert circuit.output_bound >= 1


def test_what_has_no_room_for_the_flood_takes_a_larger_ring_or_is_refused(monkeypatch):
    circuit = compile_exact(table_network(points=33), weights="encrypted", threshold=80)
    assert circuit.parameters.poly_modulus_degree == 32768
    assert any(reason.startswith("N=16384 refused: the noise needs") for reason in circuit.reasons)
    monkeypatch.setattr("he.compiler.search.SECURE_RING_DEGREES", (8192, 16384))
    assert compile_exact(table_network(points=33), weights="encrypted", threshold=20).interface.threshold == 20
    with pytest.raises(ParameterError, match=r"N=16384 refused: the noise needs \d+ bits of modulus"):
        compile_exact(table_network(points=33), weights="encrypted", threshold=80)
    with pytest.raises(ParameterError, match="ask for fewer bits of `threshold`"):
        compile_approximate(square_graph(), weights="encrypted", threshold=30)


def test_a_key_of_two_owners_is_noisier_than_that_of_one():
    circuit = compile_exact(table_network(), threshold=40, **OPTIONS)
    two = circuit.parameters
    one = replace(two, owners=1)
    noise = {p.owners: BfvNoiseAlgebra(p) for p in (one, two)}
    fresh = {owners: algebra.input(0) for owners, algebra in noise.items()}
    assert fresh[2].bound > fresh[1].bound
    for operation in ("relinearise", "swap_rows", "switch_modulus"):
        apart = [getattr(noise[owners], operation)(fresh[2]).bound for owners in (1, 2)]
        assert apart[1] > apart[0], operation
    # Relinearisation keys of two have an error that is multiplied by secrets.
    assert noise[2].relinearise(fresh[2]).bound > noise[2].swap_rows(fresh[2]).bound
    assert noise[1].relinearise(fresh[1]) == noise[1].swap_rows(fresh[1])


@pytest.mark.parametrize(
    ("compiles", "network"), [(compile_exact, table_network()), (compile_approximate, square_graph())]
)
def test_interfaces_of_two_owners_travel_and_are_kept(tmp_path, compiles, network):
    circuit = compiles(network, threshold=4, **OPTIONS)
    interface = circuit.interface
    assert "two owners" in str(interface.parameters)
    assert "threshold: an answer that is opened tells logits alone, up to 2^-4" in circuit.explain()
    fields = interface.to_dict()
    assert (fields["threshold"], fields["parameters"]["owners"]) == (4, 2)
    assert Interface.from_dict(fields, interface.tables).digest == interface.digest
    save_circuit(circuit.public, tmp_path / "circuit")
    assert load_circuit(tmp_path / "circuit").interface.digest == interface.digest
    one = compiles(network, **OPTIONS).interface.to_dict()
    assert "threshold" not in one
    assert "owners" not in one["parameters"]


def test_what_does_not_go_together_is_refused():
    network = table_network()
    for options, message in (
        ({"threshold": 40}, '`threshold` must go with `weights="encrypted"`'),
        ({"threshold": 40, "circuit_privacy": 40, "weights": "encrypted"}, "in the place of `circuit_privacy`"),
        ({"threshold": 0, "weights": "encrypted"}, r"`threshold` must lie in \[1, 80\], got 0"),
        ({"threshold": 81, "weights": "encrypted"}, r"`threshold` must lie in \[1, 80\], got 81"),
    ):
        with pytest.raises(ValueError, match=message):
            compile_exact(network, **options)
    with pytest.raises(TypeError, match="`threshold` must be an integer"):
        compile_exact(network, weights="encrypted", threshold="40")
    with pytest.raises(ValueError, match=r"`threshold` must lie in \[1, 30\], got 31"):
        compile_approximate(square_graph(), weights="encrypted", threshold=31)
    interface = compile_exact(network, threshold=40, **OPTIONS).interface
    for changes, message in (
        ({"threshold": 0}, "`threshold` must be positive bits where the key has two owners"),
        ({"threshold": -1}, "`threshold` must be positive bits"),
        ({"threshold": True}, "`threshold` must be positive bits"),
        ({"parameters": replace(interface.parameters, owners=1)}, "`threshold` must be positive bits"),
        ({"rerandomises": True}, "`threshold` must go with `encrypted`, and neither with"),
        ({"encrypted": False}, "`threshold` must go with `encrypted`"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(interface, **changes)
    for owners in (0, 3, 2.0, True, None):
        with pytest.raises(ParameterError, match="`owners` must be 1 or 2"):
            Parameters("bfv", 1024, (30, 30), 65537, security="insecure", owners=owners)
