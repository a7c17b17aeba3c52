"""Exchanges between parties, made once: tests only alter copies of the bytes."""

import pytest

from he import (
    compile_approximate,
    compile_exact,
)
from tests.he.conftest import Party
from tests.he.parties.exchange import NETWORKS, images_for


@pytest.fixture(scope="module", params=["bfv", "ckks"])
def exchange(request, exact, approximate):
    """A party with a request and a response of three images, made once: tests only alter copies of the bytes."""
    party = exact if request.param == "bfv" else approximate
    asked = party.client.encrypt(images_for(party))
    return party, asked, party.session.evaluate(asked)


@pytest.fixture(scope="module")
def strangers():
    """For each scheme another client and session of the very same circuit."""
    return {
        "bfv": Party(compile_exact(NETWORKS["bfv"], images=4, security="insecure")),
        "ckks": Party(compile_approximate(NETWORKS["ckks"], images=4, security="insecure")),
    }
