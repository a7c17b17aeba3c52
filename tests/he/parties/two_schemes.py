"""A circuit of each scheme, with a secret key."""

import pytest

from he import Policy, compile_approximate, compile_exact
from he.formats.keys import Cost
from he.parties.keys import SecretKey
from he.testing import square_graph, table_network

CHEAP = Cost(14)
TESTS = Policy(security="insecure")
CIRCUITS = {
    "bfv": compile_exact(table_network(), images=4, security="insecure"),
    "ckks": compile_approximate(square_graph(), images=4, security="insecure"),
}
KEYS = {scheme: SecretKey.generate(circuit.parameters) for scheme, circuit in CIRCUITS.items()}
schemes = pytest.mark.parametrize("scheme", CIRCUITS)
