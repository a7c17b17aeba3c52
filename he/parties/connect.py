"""Both parties in one process, for examples, tests and measurements."""

from __future__ import annotations

import numpy as np

from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.engines.engine import thread_count
from he.parties.answers import answered
from he.parties.client import Client
from he.parties.interfaces import interface_bytes
from he.parties.model_owner import ModelOwner
from he.parties.policy import Policy
from he.parties.prepared import PreparedCircuit, prepare
from he.parties.session import Session
from he.ring.params import ParameterError

_ANY_NUMBER = (1 << 63) - 1


def connect(
    circuit: Circuit | ResidueCircuit | PreparedCircuit,
    *,
    engine: str = "rns",
    threads: int | None = None,
    policy: Policy | None = None,
) -> tuple[Client, Session]:
    """Return a client and a session that have exchanged the interface and the evaluation keys as bytes.

    Args:
        circuit: a compiled network, which is prepared first, or a prepared one.
        engine: the name of the engine that prepares a compiled network; a prepared one keeps its own.
        threads: the number of threads of an evaluation; by default one for each available processor.
        policy: the client's policy; by default it accepts whatever this circuit proposes, for the caller is both
            parties.

    Returns:
        The client, and the session that holds its evaluation keys; it evaluates any number of requests. Where weights
        are encrypted, a model's owner has issued them for this client, for a day.

    Raises:
        ParameterError: if the circuit's key has two owners, or weights are to be encrypted and the circuit has none.
        PolicyError: if the circuit's interface is not what a given policy accepts.
        TypeError: if an argument has another type.
        ValueError: if there is no such engine, it cannot evaluate the circuit, or `threads` is out of range.
    """
    thread_count(threads)
    prepared = circuit if isinstance(circuit, PreparedCircuit) else prepare(circuit, engine, threads)
    interface = prepared.circuit.interface
    if isinstance(prepared.circuit, Circuit) and prepared.circuit.interface.threshold:
        raise ParameterError(
            "the circuit's key has two owners, and `connect` makes keys of one: `Together.of(circuit)` of "
            "`he.parties.threshold.together` returns all parties"
        )
    client = Client(interface_bytes(interface), policy=policy or Policy.trusting(interface.parameters.security))
    keys = client.evaluation_keys.to_bytes()
    if not interface.encrypted:
        return client, prepared.session(keys, threads, most=_ANY_NUMBER)
    assert isinstance(prepared.circuit, Circuit)  # weights modulo several primes are plain
    owner = ModelOwner(prepared.circuit, [client.public_key.id])
    network, verification = owner.issue(client.public_key.to_bytes()), owner.verification_key
    client.admit(network.permission.to_bytes(), verification)
    session = prepared.session(keys, threads, most=_ANY_NUMBER, network=network.to_bytes(), owner=verification)
    return client, session


def run_encrypted(circuit: Circuit | ResidueCircuit | PreparedCircuit, images: np.ndarray) -> np.ndarray:
    """Encrypt, evaluate and decrypt in one call, batch by batch.

    Args:
        circuit: a compiled or a prepared network.
        images: [n, *shape] as `Client.encrypt` takes them, with any n from 1.

    Returns:
        Logits [n, outputs]: int64 for BFV, float64 for CKKS.

    Raises:
        InputError: if the images are not what the circuit takes.
        RangeError: see `answered`.
    """
    client, session = connect(circuit)
    (spec,) = client.interface.client_inputs
    for batch in spec.batches(images):  # all of them, before the first is encrypted
        spec.check(batch, client.interface.parameters.scheme)
    return answered(client, session.evaluate, images)
