"""Exchanges between parties, made once: tests only alter copies of the bytes."""

from unittest.mock import patch

import pytest

from he.parties import client
from tests.he.conftest import Party
from tests.he.parties.exchange import images_for, in_order


@pytest.fixture(scope="module", params=["bfv", "ckks"])
def exchange(request, exact, approximate):
    """A party with a request and a response of three images, made once: tests only alter copies of the bytes.

    Lanes are in order, so that an answer to one request is right for another.
    """
    party = exact if request.param == "bfv" else approximate
    with patch.object(client, "secret_order", in_order):
        asked = party.client.encrypt(images_for(party))
        yield party, asked, party.session.evaluate(asked)


@pytest.fixture(scope="module")
def strangers(exact, approximate):
    """For each scheme another client and session of the very same circuit."""
    return {"bfv": Party(exact.circuit), "ckks": Party(approximate.circuit)}
