import numpy as np
import pytest

from he import Circuit, Session, compile_approximate, compile_exact, connect, prepare
from he.testing import square_graph, table_network


class Party:
    """A circuit with a client and a session that have exchanged interface and keys."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.client, self.session = connect(circuit)

    def ask(self, images: np.ndarray) -> np.ndarray:
        """The logits of a batch, encrypted, evaluated and decrypted."""
        request = self.client.encrypt(images)
        return self.client.decrypt(self.session.evaluate(request), request)


def session(party: Party, engine: str, threads: int | None = None) -> Session:
    """Another session for the same client, on this engine."""
    return prepare(party.circuit, engine).session(party.client.evaluation_keys, threads)


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
