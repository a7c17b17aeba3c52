"""One network as several circuits: of one commitment, and none that is never the cheapest."""

import numpy as np
import pytest

from he import Connection, ParameterError, compile_approximate, compile_exact, compile_family
from he.testing import square_graph, table_network
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial


@pytest.mark.unwatched
@pytest.mark.parametrize("network", [table_network(), square_graph()])
def test_every_circuit_is_the_cheapest_for_some_number(network):
    counts = (1, 3, 40, 3000)
    family = compile_family(network, counts, security="insecure")
    offer = family.offer
    assert len({interface.commitment for interface in offer.interfaces}) == 1
    assert {offer.plan(count).circuit for count in counts} == set(range(len(family.circuits)))
    sizes = [interface.images for interface in offer.interfaces]
    assert sizes == sorted(sizes)
    assert len(sizes) > 1
    for circuit in family.circuits:
        assert circuit.opens(network)


def test_no_single_circuit_is_cheaper_than_the_one_that_is_chosen():
    network, salt = table_network(), bytes(range(32))
    family = compile_family(network, (1, 100), security="insecure", salt=salt)
    for count in (1, 100):
        plan = family.offer.plan(count)
        for images in (1, 2, 8, 64):
            other = compile_exact(network, images=images, security="insecure", salt=salt)
            requests = -(-count // other.interface.images)
            assert plan.units <= requests * (other.cost().total + plan_of_encryption(other))


def plan_of_encryption(circuit):
    """What a client spends on one request, by the measured price of a ciphertext of N = 8192 under BFV."""
    layout = circuit.interface.inputs[0].layout
    return layout.ciphertexts * 1.6 * circuit.parameters.poly_modulus_degree / 8192


def test_a_circuit_that_is_not_there_cannot_be_chosen():
    offer = compile_family(table_network(), (1,), security="insecure").offer
    for number in (-1, len(offer.interfaces)):
        with pytest.raises(ValueError, match="`among` must lie in"):
            offer.plan(1, among=[number])
    with pytest.raises(TypeError, match="`among` must be an integer"):
        offer.plan(1, among=["first"])


@pytest.mark.parametrize("option", ["packing", "weights"])
def test_what_a_family_decides_itself_is_no_option(option):
    with pytest.raises(TypeError, match=f"`{option}` must be left out"):
        compile_family(table_network(), (1,), **{option: "plain"})


def test_a_network_that_fits_nothing_is_refused():
    with pytest.raises(ParameterError):
        compile_family(square_graph(), (1,), max_error=1e-300)


@pytest.mark.unwatched
def test_a_network_whose_logits_fit_no_modulus_is_computed_modulo_several():
    rng = np.random.default_rng(0)
    layers = [Dense(rng.integers(-200, 200, (6, 6)), rng.integers(-9, 9, 6)) for _ in range(3)]
    square = IntPolynomial((0, 0, 1))
    network = IntNetwork((6,), IntDomain(-20, 20), (layers[0], square, layers[1], square, layers[2]))
    with pytest.raises(ParameterError, match="holds only"):
        compile_exact(network, security="insecure")
    family = compile_family(network, (1, 1000), security="insecure")
    assert len(family.circuits) > 1
    images = rng.integers(-20, 21, (3, 6))
    found = Connection.within(family).predict(images)
    assert (found == network.logits(images)).all()
    with pytest.raises(ParameterError, match="holds only"):
        compile_family(network, (1,), security="insecure", circuit_privacy=40)  # which is none of several moduli
    primes = [circuit.parameters.t for circuit in family.circuits[0].circuits]
    named = compile_family(network, (1,), security="insecure", plain_moduli=primes)
    assert [circuit.parameters.t for circuit in named.circuits[0].circuits] == primes


def test_a_number_of_images_alone_is_told_to_be_put_in_a_tuple():
    with pytest.raises(TypeError, match="`images` must be several numbers of images, or one in a tuple, got 4"):
        compile_family(square_graph(), 4)


@pytest.mark.parametrize(("images", "refusal"), [((), ValueError), ((0,), ValueError), (("1",), TypeError)])
def test_numbers_of_images_are_checked(images, refusal):
    with pytest.raises(refusal, match="images"):
        compile_family(table_network(), images)


@pytest.mark.parametrize("thing", [None, "model.onnx", compile_exact(table_network(), security="insecure")])
def test_what_is_no_network_is_refused_with_what_makes_one(thing):
    with pytest.raises(TypeError, match=r"`network` must be .* `he.compile"):
        compile_family(thing, (1,))


@pytest.mark.unwatched
def test_options_are_those_of_the_entrance():
    with pytest.raises(TypeError, match="weights"):
        compile_family(table_network(), weights="encrypted")
    with pytest.raises(TypeError, match="max_error"):
        compile_family(table_network(), max_error=0.1)
    family = compile_family(square_graph(), (1,), security="insecure", max_error=0.01)
    assert compile_approximate(square_graph(), security="insecure", max_error=0.01).output_bound <= 0.01
    assert family.circuits[0].output_bound <= 0.01
