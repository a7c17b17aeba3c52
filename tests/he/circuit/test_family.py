"""Offers: what a client chooses by the number of its images."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Family, Offer, compile_exact
from he.circuit.family import encryption_units
from he.testing import table_network

SALT = bytes(range(32))


def made(images):
    return compile_exact(table_network(), images=images, security="insecure", salt=SALT)


CIRCUITS = (made(1), made(8))


@settings(max_examples=200)
@given(st.integers(1, 10**9), st.lists(st.floats(0.01, 1e4), min_size=2, max_size=2))
def test_a_plan_is_the_cheapest_and_holds_all_images(images, units):
    offer = Offer(tuple(c.interface for c in CIRCUITS), tuple(units))
    plan = offer.plan(images)
    assert (plan.requests - 1) * plan.images < images <= plan.requests * plan.images
    for number, (interface, price) in enumerate(zip(offer.interfaces, units, strict=True)):
        whole = -(-images // interface.images) * (price + encryption_units(interface))
        assert plan.units <= whole
        assert offer.plan(images, [number]).units == whole


def test_a_family_offers_its_circuits_at_their_cost():
    offer = Family(CIRCUITS).offer
    assert offer.interfaces == tuple(c.interface for c in CIRCUITS)
    assert offer.units == tuple(c.cost().total for c in CIRCUITS)


def test_circuits_of_one_offer_are_of_one_network():
    other = compile_exact(table_network(), security="insecure", salt=bytes(32))
    with pytest.raises(ValueError, match="one commitment"):
        Family((CIRCUITS[0], other))
    with pytest.raises(ValueError, match="got one twice"):
        Family((CIRCUITS[0], CIRCUITS[0]))
    with pytest.raises(ValueError, match="1 to 64"):
        Family(())
    with pytest.raises(TypeError, match="circuits"):
        Family((CIRCUITS[0].interface,))


def test_encrypted_weights_are_offered_in_one_circuit():
    salt = bytes(32)
    each = [
        compile_exact(table_network(), security="insecure", weights="encrypted", images=n, salt=salt) for n in (1, 4)
    ]
    assert Family(tuple(each[:1])).offer.plan(9).requests == 9
    with pytest.raises(ValueError, match="must be one where weights are encrypted"):
        Family(tuple(each))


def asking(interface, **changes):
    """The interface with another input of the client's."""
    (spec,) = interface.client_inputs
    return replace(interface, inputs=tuple(replace(one, **changes) if one is spec else one for one in interface.inputs))


def test_circuits_of_one_offer_take_the_same_images():
    """Images are prepared before a circuit is chosen; a server could have them rounded for another one."""
    few, many = (circuit.interface for circuit in CIRCUITS)
    for other in (asking(many, scale=3.0), asking(many, low=-1), asking(many, shape=(5, 1))):
        with pytest.raises(ValueError, match="the same images"):
            Offer((few, other), (1.0, 1.0))


def test_circuits_of_an_offer_ask_for_images_alone():
    few, many = (circuit.interface for circuit in CIRCUITS)
    (spec,) = few.client_inputs
    plain = asking(many, source=replace(spec.source, kind="plaintext"))
    more = replace(many, inputs=(*many.inputs, replace(many.client_inputs[0], name="more")))
    for other in (plain, more):
        for offered in ((other,), (few, other)):
            with pytest.raises(ValueError, match="one encrypted input"):
                Offer(offered, (1.0,) * len(offered))


@pytest.mark.parametrize("units", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, float("inf")), (1.0, float("nan"))])
def test_prices_are_positive_numbers(units):
    with pytest.raises(ValueError, match="units"):
        replace(Family(CIRCUITS).offer, units=units)


@pytest.mark.parametrize(("images", "among"), [(0, None), (-1, None), (1, [])])
def test_nothing_is_planned_for_no_images_or_no_circuit(images, among):
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        Family(CIRCUITS).offer.plan(images, among)
