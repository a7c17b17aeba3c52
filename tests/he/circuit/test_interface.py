"""A client prepares its own images as the plain network would."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import (
    Client,
    InputError,
    Interface,
    MessageError,
    ParameterError,
    Policy,
    compile_approximate,
    compile_exact,
    prepare,
)
from he.program.operations import Source
from he.testing import compiled, square_graph
from intnn import Dense, IntClassifier, IntDomain, IntNetwork

INSECURE = Policy(security="insecure")


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
    client = Client(circuit.interface, policy=INSECURE)
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
    client = Client(circuit.interface, policy=INSECURE)
    images = np.random.default_rng(0).random((2, 1, 4, 4)).astype(np.float32)
    assert client.prepare(images).dtype == np.float64
    assert np.array_equal(client.prepare(images), images)


def test_an_interface_survives_json():
    for circuit in (
        compile_exact(network(0, 3, 2.0), security="insecure"),
        compiled(square_graph(), security="insecure"),
    ):
        again = Interface.from_dict(circuit.interface.to_dict(), circuit.interface.tables)
        assert again.digest == circuit.interface.digest
        assert again.to_dict() == circuit.interface.to_dict()


def test_floats_that_a_model_scales_in_its_own_way_are_refused():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)) * [1, 10, 100, 1000], np.arange(90) % 3
    model = IntClassifier((4,), epochs=2, input_domain=(0, 3), weight_bits=2, scaling="minmax").fit(x, y)
    circuit = compile_exact(model.network_, security="insecure")
    client = Client(circuit.interface, policy=INSECURE)
    assert Interface.from_dict(circuit.interface.to_dict(), circuit.interface.tables).inputs[0].scale is None
    with pytest.raises(InputError, match="for an IntClassifier, that is `scaling_`"):
        client.prepare(x[:1])
    client.encrypt(model.scaling_(x[:1]))


def test_one_image_without_a_batch_is_refused_when_it_is_prepared():
    client = Client(compile_exact(network(0, 3, 2.0), security="insecure").interface, policy=INSECURE)
    with pytest.raises(InputError, match=r"must have shape \[batch, 3\], got \(3,\)"):
        client.prepare(np.ones(3))


@pytest.mark.parametrize(
    ("values", "said"),
    [(np.zeros((0, 3)), "must hold one image or more, got none"), ([[1.0], [1.0, 2.0]], "equal lengths")],
)
def test_empty_batches_and_ragged_rows_are_refused_at_either_door(values, said):
    client = Client(compile_exact(network(0, 3, 2.0), security="insecure").interface, policy=INSECURE)
    with pytest.raises(InputError, match=said):
        client.prepare(values)
    integers = values.astype(int) if isinstance(values, np.ndarray) else [list(map(int, row)) for row in values]
    with pytest.raises(InputError, match=said):
        client.encrypt(integers)


def test_this_client_sends_one_encrypted_input():
    circuit = compile_exact(network(0, 3, 2.0), security="insecure")
    (spec,) = circuit.interface.inputs
    for inputs in ((spec, replace(spec, name="others")), (replace(spec, source=Source("data", "plaintext")),)):
        with pytest.raises(MessageError, match="must ask the data owner for one encrypted input"):
            Client(replace(circuit.interface, inputs=inputs), policy=INSECURE)


@pytest.mark.parametrize("security", ["256", None, 128])
def test_a_client_insists_on_a_security_that_exists(security):
    with pytest.raises(ParameterError, match='`security` must be "128", "128-2018" or "insecure"'):
        Client(compile_exact(network(0, 3, 2.0), security="insecure").interface, policy=Policy(security=security))


def test_evaluation_keys_come_with_the_secret_key_that_made_them():
    interface = compile_exact(network(0, 3, 2.0), security="insecure").interface
    keys = Client(interface, policy=INSECURE).evaluation_keys
    with pytest.raises(ParameterError, match="`secret_key` must be given with `evaluation_keys`"):
        Client(interface, evaluation_keys=keys, policy=INSECURE)


def test_inputs_have_names_of_their_own_and_the_packing_of_the_output():
    interface = compile_exact(network(0, 3, 2.0), security="insecure").interface
    (spec,) = interface.inputs
    with pytest.raises(ValueError, match="`inputs` must have different names, got"):
        replace(interface, inputs=(spec, spec))
    with pytest.raises(ValueError, match="`inputs` must have one of the data owner's, got"):
        replace(interface, inputs=(replace(spec, source=Source("model")),))
    narrow = replace(interface.packing, lanes=interface.packing.lanes * 2)
    with pytest.raises(ValueError, match="`inputs` must have the packing of the output"):
        replace(interface, output=replace(interface.output, packing=narrow), inputs=(spec,))


def test_a_circuit_is_described_by_its_interface():
    circuit = compile_exact(network(0, 3, 2.0), security="insecure")
    other = compiled(square_graph(), security="insecure")
    with pytest.raises(ValueError, match="the interface must describe the program: its"):
        replace(circuit, program=other.program)
    for bound in (float("nan"), np.float32("inf"), 10**400):
        with pytest.raises(ValueError, match="`output_bound` must be finite"):
            replace(circuit, output_bound=bound)
    for bound in (None, "1", True, [1.0]):
        with pytest.raises(TypeError, match="`output_bound` must be a float"):
            replace(circuit, output_bound=bound)
    for bound in (np.float32(2), np.int8(2), np.array(2.0)):
        assert (replace(circuit, output_bound=bound).output_bound, type(circuit.output_bound)) == (2.0, float)


@pytest.mark.parametrize("images", [0, -1, 2.0, "2", True])
def test_numbers_of_images_are_positive_integers(images):
    with pytest.raises((TypeError, ValueError), match="`images` must"):
        compile_exact(network(0, 3, 2.0), images=images, security="insecure")
    assert compile_exact(network(0, 3, 2.0), images=np.int64(2), security="insecure").interface.images == 2


def test_the_other_entrance_is_named():
    with pytest.raises(TypeError, match="must be an IntNetwork, got Graph; quantise a Graph first"):
        compile_exact(square_graph())
    with pytest.raises(TypeError, match=r"must be a Graph, got IntNetwork; .* compile_exact"):
        compile_approximate(network(0, 3, 2.0))
    with pytest.raises(TypeError, match="must be a Circuit, got IntNetwork; compile a network with compile_exact"):
        prepare(network(0, 3, 2.0))


@pytest.mark.parametrize(
    "options", [{"max_error": float("inf")}, {"max_error": "a"}, {"input_range": 3}, {"input_range": (0, 1, 2)}]
)
def test_options_of_the_approximate_path_are_numbers(options):
    with pytest.raises((TypeError, ValueError), match=f"`{next(iter(options))}` must be"):
        compile_approximate(square_graph(), **options)
