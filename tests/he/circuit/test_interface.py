"""A client prepares its own images as the plain network would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import Client, InputError, Interface, compile_exact
from he.testing import compiled, square_graph
from intnn import Dense, IntDomain, IntNetwork


def network(low: int, high: int, scale: float) -> IntNetwork:
    return IntNetwork((3,), IntDomain(low, high), (Dense(np.array([[1, -2, 3]]), np.zeros(1, int)),), scale)


@given(st.integers(-9, 0), st.integers(1, 9), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_prepared_floats_are_the_networks_own_integers(low, high, scale, seed):
    plain = network(low, high, scale)
    circuit = compile_exact(plain, images=2, security="insecure")
    images = np.random.default_rng(seed).normal(size=(2, 3)) * 5 / scale
    images[0, 0] = 0.5 / scale
    (spec,) = circuit.interface.client_inputs
    assert np.array_equal(spec.prepare(images, circuit.parameters.scheme), plain.quantise_input(images))


def test_a_client_asks_about_floats():
    plain = network(-3, 4, 2.5)
    circuit = compile_exact(plain, images=2, security="insecure")
    client = Client(circuit.interface, security="insecure")
    images = np.array([[0.1, -9.0, 9.0], [0.2, 0.6, 1.0]])
    prepared = client.prepare(images)
    assert prepared.dtype == np.int64
    assert prepared.tolist() == plain.quantise_input(images).tolist()
    client.encrypt(prepared)
    with pytest.raises(InputError, match=r"use Client\.prepare for floats"):
        client.encrypt(images)
    with pytest.raises(TypeError, match="must hold floats, got dtype int64"):
        client.prepare(prepared)
    with pytest.raises(ValueError, match="must be finite, got NaN"):
        client.prepare(images * np.nan)


def test_approximate_circuits_take_floats_as_they_are():
    circuit = compiled(square_graph(), images=2, security="insecure")
    client = Client(circuit.interface, security="insecure")
    images = np.random.default_rng(0).random((2, 1, 4, 4)).astype(np.float32)
    assert client.prepare(images).dtype == np.float64
    assert np.array_equal(client.prepare(images), images)


def test_an_interface_survives_json():
    for circuit in (
        compile_exact(network(0, 3, 2.0), security="insecure"),
        compiled(square_graph(), security="insecure"),
    ):
        again = Interface.from_dict(circuit.interface.to_dict())
        assert again.digest == circuit.interface.digest
        assert again.to_dict() == circuit.interface.to_dict()
