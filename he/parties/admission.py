"""Whether an evaluator may use an encrypted network: asked before every evaluation."""

from __future__ import annotations

import time

from he.parties.encrypted_network import EncryptedNetwork
from he.parties.permission import Clock, Revocation
from intnn.values.value_object import Unstorable


class Admission(Unstorable, instead="keep the encrypted network, and make it again"):
    """An encrypted network, and what is known of the permission to use it.

    Args:
        network: the network, whose permission has been verified.
        key: the name of the client's evaluation keys.
        owner: the owner's verification key.
        clock: returns the time in seconds since 1970.
    """

    def __init__(self, network: EncryptedNetwork, key: str, owner: bytes, clock: Clock = time.time) -> None:
        self.network = network
        self._key, self._owner, self._clock = key, owner, clock
        self._revocation: Revocation | None = None

    def revoke(self, revocation: bytes) -> None:
        """Take note of a revocation; of several, the one that revokes the most counts.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign.
            NotPermittedError: if the owner has not signed it, or it is for another circuit.
        """
        found = Revocation.from_bytes(revocation, self._owner)
        self._revocation = found.newest(self._revocation, self.network.permission.circuit)

    def require(self) -> None:
        """Check that the network may be used now.

        Raises:
            NotPermittedError: if it may not.
        """
        permission = self.network.permission
        permission.require(permission.circuit, self._key, self._clock, self._revocation)
