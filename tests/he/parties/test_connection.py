"""Predictions for any number of images, through bytes alone."""

import numpy as np
import pytest
from hypothesis import given, settings

from he import Connection, Family, InputError, MessageError, Policy, PolicyError, compile_exact, offer_bytes, read_offer
from he.parties.prepared import prepare
from he.testing import damaged, inputs, table_network

NETWORK, SALT = table_network(), bytes(range(32))
FEW = [compile_exact(NETWORK, images=images, security="insecure", salt=SALT) for images in (1, 4)]
MANY = compile_exact(NETWORK, packing="throughput", security="insecure", salt=SALT)
FAMILY = Family((*FEW, MANY))
OFFER = offer_bytes(FAMILY.offer)


class Server:
    """What a server does in another process: it is given bytes, and gives bytes."""

    def __init__(self):
        self.opened, self.requests = [], 0

    def open_session(self, number, keys):
        self.opened.append(number)
        session = prepare(FAMILY.circuits[number], threads=1).session(bytes(keys), 1)

        def evaluate(request):
            self.requests += 1
            return session.evaluate(bytes(request))

        return evaluate


def test_any_number_of_images_is_answered_as_the_network_does():
    server = Server()
    connection = Connection(OFFER, server.open_session, policy=Policy.trusting("insecure"))
    for count in (1, 2, 5, 9, 1, 700):
        before, plan = server.requests, connection.plan(count)
        images = inputs(NETWORK, count, seed=count)
        assert np.array_equal(connection.predict(images), NETWORK.logits(images))
        assert server.requests - before == plan.requests
    assert len(server.opened) == len(set(server.opened)) > 1  # keys are made once


def test_there_is_one_request_in_memory_at_a_time():
    server = Server()
    connection = Connection(OFFER, server.open_session, policy=Policy.trusting("insecure"))
    images = inputs(NETWORK, 9)
    plan, stream = connection.plan(9), connection.stream(images)
    for done in range(plan.requests):
        assert server.requests == done
        assert np.array_equal(next(stream), NETWORK.logits(images[done * plan.images :][: plan.images]))


def test_both_parties_in_one_process():
    images = inputs(NETWORK, 3)
    assert np.array_equal(Connection.within(FAMILY, threads=1).predict(images), NETWORK.logits(images))


def test_images_are_checked_before_a_key_is_made():
    server = Server()
    connection = Connection(OFFER, server.open_session, policy=Policy.trusting("insecure"))
    wrong = inputs(NETWORK, 9)
    wrong[-1] = 77
    for images in (wrong, wrong[:0], wrong[:, :4]):
        with pytest.raises(InputError):
            connection.predict(images)
    assert not server.opened


def test_what_the_policy_does_not_accept_is_never_chosen():
    policy = Policy(security="insecure", most_request_bytes=60_000)  # throughput takes five ciphertexts
    connection = Connection(OFFER, Server().open_session, policy=policy)
    assert FAMILY.offer.plan(10**6).circuit == 2
    assert connection.plan(10**6).circuit < 2
    with pytest.raises(PolicyError):
        Connection(OFFER, Server().open_session)


@settings(max_examples=50, deadline=None)
@given(damaged(OFFER))
def test_a_damaged_offer_is_refused(data):
    with pytest.raises(MessageError):
        read_offer(data)


def test_an_offer_goes_both_ways():
    found = read_offer(OFFER)
    assert [one.digest for one in found.interfaces] == [one.interface.digest for one in FAMILY.circuits]
    assert found.units == FAMILY.offer.units
    with pytest.raises(TypeError, match="offer"):
        offer_bytes(FAMILY)
