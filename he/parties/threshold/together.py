"""Data owner, model owner and evaluator in one process, for examples, tests and measurements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from he.circuit.circuit import Circuit, require_circuit
from he.engines.engine import thread_count
from he.parties.client import Client
from he.parties.interfaces import interface_bytes
from he.parties.model_owner import ModelOwner
from he.parties.policy import Policy
from he.parties.prepared import prepare
from he.parties.session import Session
from he.parties.threshold.ceremony import DataShare, JointKey, ModelShare
from he.parties.threshold.opening import Opener
from he.parties.threshold.voucher import Vouching


class Together(NamedTuple):
    """All parties of a circuit that was compiled with `threshold`, who have exchanged all messages as bytes.

    Attributes:
        client: the data owner.
        session: the evaluator, on the fast engine.
        vouching: the evaluator, too.
        opener: the model owner, who helps to open.
        owner: the model owner, who has issued the network for this key, for a day.
        data_key, model_key: what each owner has of the key.
    """

    client: Client
    session: Session
    vouching: Vouching
    opener: Opener
    owner: ModelOwner
    data_key: JointKey
    model_key: JointKey

    @staticmethod
    def of(circuit: Circuit, threads: int | None = None, policy: Policy | None = None) -> Together:
        """Return all parties of a circuit.

        Args:
            circuit: the circuit, with its weights.
            threads: the number of threads of an evaluation; by default one for each available processor.
            policy: the data owner's; by default it accepts whatever this circuit proposes.

        Raises:
            ParameterError: if the circuit's key has one owner.
            PolicyError: if the interface is not what a given policy accepts.
            TypeError: if an argument has another type.
            ValueError: if `threads` is out of range.
        """
        thread_count(threads)
        interface = interface_bytes(require_circuit(circuit).interface)
        policy = policy or Policy.trusting(circuit.parameters.security)
        data, model = DataShare(interface, policy=policy), ModelShare(interface)
        model.finish(data.second(model.shares(data.first(model.commit(data.invitation)))))
        share, keys, public_key = data.key
        client = Client(interface, share, keys.to_bytes(), public_key=public_key.to_bytes(), policy=policy)
        owner, vouching = ModelOwner(circuit, [model.key.public_key.id]), Vouching()
        network, verification = owner.issue(model.key.public_key).to_bytes(), owner.verification_key
        prepared = prepare(owner.circuit, threads=threads)
        session = prepared.session(keys.to_bytes(), threads, network=network, owner=verification)
        client.admit(session.permission or b"", verification)
        opener = Opener(owner, model.key, vouching.verification_key)
        return Together(client, session, vouching, opener, owner, data.key, model.key)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Encrypt, evaluate and open a batch, as `Client.encrypt` takes it.

        Returns:
            Logits [batch, outputs]: int64 for BFV, float64 for CKKS.

        Raises:
            DecryptionError, InputError, MessageError: as the parties' methods.
        """
        request = self.client.encrypt(images)
        answer = self.session.evaluate(request)
        return self.client.decrypt(answer, request, part=self.open(answer))

    def open(self, answer: bytes) -> bytes:
        """Return the model owner's part of the decryption of an answer, which the evaluator vouches for."""
        return self.opener.part(answer, self.vouching.vouch(answer))
