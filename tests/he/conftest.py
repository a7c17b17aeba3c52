import pytest

from he import Circuit, Client, Server, compile_approximate, compile_exact, interface_bytes
from tests.he.networks import square_graph, table_network


class Party:
    """A circuit with a client and a server that have exchanged interface and keys."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.client = Client(interface_bytes(circuit.interface), security=circuit.parameters.security)
        self.server = Server(circuit, self.client.evaluation_keys)


@pytest.fixture(scope="session")
def exact() -> Party:
    """BFV on a small insecure ring, four images a batch."""
    return Party(compile_exact(table_network(), images=4, security="insecure"))


@pytest.fixture(scope="session")
def approximate() -> Party:
    """CKKS on a small insecure ring, four images a batch."""
    return Party(compile_approximate(square_graph(), images=4, security="insecure"))


@pytest.fixture(params=["exact", "approximate"])
def party(request: pytest.FixtureRequest) -> Party:
    """Either of the two."""
    return request.getfixturevalue(request.param)
