"""CKKS results that others may see: how much noise they get, and how many there may be."""

import math
import random
import secrets

import numpy as np
import pytest

from he import Client, DecryptionError, MessageError, Policy, PublishingError, compile_approximate, prepare
from he.formats.messages import Kind
from he.parties.publishing import noised
from he.testing import inputs, square_graph
from tests.he.forge import residues_of, with_residues
from tests.he.parties.exchange import NETWORKS, images_for, network_of
from tests.he.parties.test_policy import proposal


@pytest.fixture(scope="module")
def wide():
    """A circuit for 64 images a batch, with an error that is small enough for results to be published."""
    return compile_approximate(square_graph(), images=64, max_error=1e-7, security="insecure")


def publisher(circuit, **limits):
    client = Client(circuit.interface, policy=Policy(security="insecure", **limits))
    return client, prepare(circuit).session(client.evaluation_keys)


def answered(client, session, images):
    request = client.encrypt(images)
    return session.evaluate(request), request


def test_published_numbers_have_the_noise_that_was_told_in_advance(wide):
    client, session = publisher(wide, most_published=2)
    images = inputs(NETWORKS["ckks"], 64)
    exact = client.decrypt(*answered(client, session, images))
    assert np.abs(exact - NETWORKS["ckks"].logits(images)).max() <= 1e-7
    published = [client.decrypt(*answered(client, session, images), publish=True) for _ in range(2)]
    told = client.published_deviation(64)
    assert told == pytest.approx(math.sqrt(12 * 2 * 64 * 3) * 2**15 * 1e-7)
    for logits in published:
        assert (logits - exact).std() == pytest.approx(told, rel=0.27)  # five deviations of this estimate
        assert abs((logits - exact).mean()) < told / 2
    grid = 2.0 ** (math.floor(math.log2(told)) - 10)
    assert all((logits % grid == 0).all() for logits in published)
    assert (published[0] != published[1]).mean() > 0.9


def test_all_that_is_published_stays_within_the_divergence(wide):
    """The noise of q numbers that are each off by t: q t^2 / (2 sigma^2) is at most 2^-s / 24."""
    for most, bits in ((1, 30), (7, 30), (100, 64)):
        client, _ = publisher(wide, most_published=most, publishing_bits=bits)
        for images in (1, 3, 64):
            deviation = client.published_deviation(images)
            spent = most * images * 3 * (client.interface.tolerance / 2) ** 2 / (2 * deviation**2)
            assert spent == pytest.approx(2.0**-bits / 24)
            assert math.sqrt(spent / 2) < 2 ** -(bits / 2 + 2.7)  # Pinsker's inequality: what the policy says
    for images in (0, 65):
        with pytest.raises(ValueError, match=r"`images` must lie in \[1, 64\]"):
            client.published_deviation(images)


def test_no_more_is_published_than_the_policy_allows(wide):
    client, session = publisher(wide)
    images = inputs(NETWORKS["ckks"], 2)
    client.decrypt(*answered(client, session, images), publish=True)
    answer, request = answered(client, session, images)
    for _ in range(2):
        with pytest.raises(PublishingError, match=r"at most 1 answer\(s\) may be published under one key"):
            client.decrypt(answer, request, publish=True)
    assert np.abs(client.decrypt(answer, request) - NETWORKS["ckks"].logits(images)).max() <= 1e-7
    with pytest.raises(MessageError, match="open request"):  # neither with noise nor without: it has had its answer
        client.decrypt(answer, request, publish=True)


def test_what_is_refused_is_not_counted_as_published(wide):
    client, session = publisher(wide)
    images = inputs(NETWORKS["ckks"], 2)
    answer, request = answered(client, session, images)
    residues = residues_of(Kind.RESPONSE, wide.interface, answer)
    forged = with_residues(Kind.RESPONSE, wide.interface, answer, residues[:, :, ::-1].copy())
    with pytest.raises(DecryptionError):
        client.decrypt(forged, request, publish=True)
    assert client.decrypt(*answered(client, session, images), publish=True).shape == (2, 3)


def test_exact_results_are_published_as_they_are(exact):
    client, session = publisher(exact.circuit)
    images = images_for(exact)
    for _ in range(3):
        logits = client.decrypt(*answered(client, session, images), publish=True)
        assert (logits == network_of(exact).logits(images)).all()
    assert client.published_deviation(3) == 0


def test_last_bits_do_not_survive(monkeypatch):
    logits = np.random.default_rng(0).normal(size=1000)
    other = np.nextafter(logits, np.inf)
    found = []
    for one in (logits, other):
        monkeypatch.setattr(secrets, "SystemRandom", lambda: random.Random(0))
        found.append(noised(one, 1e-3))
    assert (found[0] == found[1]).mean() > 0.99
    assert ((logits + 1e-3) != (other + 1e-3)).mean() > 0.4  # what noise alone leaves


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"most_published": 0}, ValueError),
        ({"most_published": 1.0}, TypeError),
        ({"publishing_bits": 0}, ValueError),
        ({"publishing_bits": 129}, ValueError),
        ({"publishing_bits": True}, TypeError),
    ],
)
def test_limits_that_are_none(limits, error):
    with pytest.raises(error, match=next(iter(limits))):
        Policy(**limits)


def test_noise_in_proportion_to_no_error_is_none(approximate):
    """An interface that admits no error would have results published without noise."""
    for tolerance in (0.0, 5e-324, 2.0**-61):
        with pytest.raises(MessageError, match="`tolerance` must be at least"):
            Client(proposal(approximate, tolerance=tolerance), policy=Policy(security="insecure"))
