"""Keys that a client begins with: its own, of the circuit's parameters, and of one secret."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Client, MessageError, ParameterError, Policy, compile_exact, prepare
from he.formats.switching import key_bytes
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.testing import inputs, table_network
from intnn import Dense, IntDomain, IntNetwork
from tests.he.parties.two_schemes import CHEAP, CIRCUITS, KEYS, TESTS, schemes


def test_a_client_goes_on_with_the_keys_that_a_server_has(tmp_path):
    circuit = CIRCUITS["bfv"]
    first = Client(circuit.interface, policy=Policy(security="insecure"))
    session = prepare(circuit).session(first.evaluation_keys)
    first.secret_key.save(tmp_path / "secret", "password", CHEAP)
    first.evaluation_keys.save(tmp_path / "public")
    key, keys = SecretKey.load(tmp_path / "secret", "password"), EvaluationKeys.load(tmp_path / "public")
    again = Client(circuit.interface, key, keys, policy=Policy(security="insecure"))
    x = inputs(table_network(), 4)
    assert np.array_equal(again.decrypt(session.evaluate(again.encrypt(x))), table_network().logits(x))
    with pytest.raises(MessageError, match="made for another circuit"):
        Client(CIRCUITS["ckks"].interface, KEYS["ckks"], keys, policy=Policy(security="insecure"))


@schemes
def test_evaluation_keys_of_another_secret_key_are_refused_at_once(scheme):
    interface, key = CIRCUITS[scheme].interface, KEYS[scheme]
    own, others = key.evaluation_keys(interface), SecretKey.generate(key.parameters).evaluation_keys(interface)
    for keys in (own, own.to_bytes(), bytearray(own.to_bytes())):
        assert Client(interface, key, keys, policy=Policy(security="insecure")).evaluation_keys == own
    one = key_bytes(key.parameters, key.parameters.levels)
    for i in range(len(interface.key_elements)):
        mixed = [(others if i == j else own).data[j * one : (j + 1) * one] for j in range(len(interface.key_elements))]
        for foreign in (others, EvaluationKeys.sealed(interface.digest, b"".join(mixed))):
            with pytest.raises(MessageError, match="were made from another secret key, or changed; load the one"):
                Client(interface, key, foreign, policy=Policy(security="insecure"))
    with pytest.raises(MessageError, match="must be exactly the circuit's"):
        Client(
            interface, key, EvaluationKeys.sealed(interface.digest, own.data[:-1]), policy=Policy(security="insecure")
        )


@schemes
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_refused_of_ones_own_keys_tells_nothing_of_the_secret(scheme, data):
    """The secret decided about every residue: whoever gave the keys back could find it, or what a request holds."""
    interface, key = CIRCUITS[scheme].interface, KEYS[scheme]
    own = key.evaluation_keys(interface)
    changed = bytearray(own.data)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MessageError) as refusal:
        Client(interface, key, EvaluationKeys.sealed(interface.digest, bytes(changed), own.mark), policy=TESTS)
    with pytest.raises(MessageError) as other:
        Client(interface, key, EvaluationKeys.sealed(interface.digest, own.data), policy=TESTS)
    assert str(refusal.value) == str(other.value)
    assert "another secret key, or changed" in str(other.value)


@pytest.mark.parametrize(
    "changes", [{"coeff_modulus_bits": (50, 50, 50)}, {"poly_modulus_degree": 2048}, {"plain_modulus": 40961}]
)
def test_a_secret_key_for_other_parameters_is_refused_whatever_comes_with_it(changes):
    network = IntNetwork((3,), IntDomain(0, 1), (Dense([[1, 2, 3]], [0]),))
    interface = compile_exact(network, packing="throughput", security="insecure").interface
    other = SecretKey.generate(replace(interface.parameters, **changes))
    for keys in (None, EvaluationKeys.sealed(interface.digest, b"")):
        with pytest.raises(ParameterError, match="the secret key must be for the circuit's parameters"):
            Client(interface, other, keys, policy=TESTS)


def test_a_circuit_without_keys_has_none_to_compare():
    network = IntNetwork((3,), IntDomain(0, 1), (Dense([[1, 2, 3]], [0]),))
    interface = compile_exact(network, packing="throughput", security="insecure").interface
    assert not interface.multiplies
    assert not interface.galois_elements
    key = SecretKey.generate(interface.parameters)
    assert Client(interface, key, key.evaluation_keys(interface), policy=Policy(security="insecure")).secret_key is key
