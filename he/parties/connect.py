"""Both parties in one process, for first looks, tests and measurements."""

from __future__ import annotations

import numpy as np

from he.circuit.circuit import Circuit
from he.parties.client import Client, interface_bytes
from he.parties.prepared import PreparedCircuit, prepare
from he.parties.session import Session


def connect(
    circuit: Circuit | PreparedCircuit, *, engine: str = "rns", threads: int | None = None
) -> tuple[Client, Session]:
    """A client and a session that have exchanged interface and keys, as bytes.

    Args:
        circuit: a compiled network, which is prepared first, or a prepared one.
        engine: see `prepare`; of a circuit that is prepared already, the engine it was prepared for is used.
        threads: see `PreparedCircuit.session`.

    Returns:
        The client, whose keys are as secure as the circuit's parameters; and the session that holds its keys.
    """
    prepared = circuit if isinstance(circuit, PreparedCircuit) else prepare(circuit, engine, threads)
    interface = prepared.circuit.interface
    client = Client(interface_bytes(interface), security=interface.parameters.security)
    return client, prepared.session(client.evaluation_keys.to_bytes(), threads)


def run_encrypted(circuit: Circuit | PreparedCircuit, images: np.ndarray) -> np.ndarray:
    """Encrypt, evaluate and decrypt in one call, batch by batch.

    Args:
        circuit: a compiled network.
        images: [n, *shape], any n from 1 up.

    Returns:
        Logits [n, outputs].
    """
    client, session = connect(circuit)
    step = client.interface.images
    batches = [images[start : start + step] for start in range(0, max(len(images), 1), step)]
    return np.concatenate([client.decrypt(session.evaluate(client.encrypt(batch))) for batch in batches])
