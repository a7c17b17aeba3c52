"""The owner of a model, who encrypts its weights for the clients that are permitted to use it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from threading import Lock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from he.circuit.circuit import Circuit, require_weights
from he.circuit.commitment import is_digest
from he.parties.encrypted_network import EncryptedNetwork, network_digest
from he.parties.interfaces import interface_bytes
from he.parties.permission import Clock, NotPermittedError, Permission, Revocation
from he.parties.public_encryptor import PublicEncryptor
from he.parties.public_key import PublicKey
from intnn.values.arrays import instance, integer
from intnn.values.value_object import Unstorable

DAY = 24 * 60 * 60
MOST_SECONDS = 1 << 40  # of a permission
_SEED_BYTES = 32


class ModelOwner(Unstorable, instead="keep `signing_seed` secret, and make it again"):
    """Encrypts one circuit's weights under the public keys of permitted clients, and signs what it issues.

    *An evaluator that keeps to itself what it has* learns of the network what `Circuit.public` holds, and nothing of
    weights. *The client* learns logits. *Both together* read the weights: the client's secret key opens whatever is
    encrypted under it. So does a client who gets the encrypted network: send it to the evaluator alone.

    One key may have many models, each of an owner of its own; one model is issued anew for every key.

    Args:
        circuit: a circuit that was compiled with `weights="encrypted"`.
        permitted: the names of the public keys that may have it, `PublicKey.id`, as their clients tell them by a way
            that authenticates: what is encrypted under a stranger's key is the stranger's to read.
        signing_seed: 32 secret bytes by which the owner signs, the same for all of its models; by default random ones.
        first: the number of the next permission: an owner who continues goes on above all that it has issued.
        least: the least number that still counts, as of that owner's last revocation.
        revoked: the names of public keys that it has permitted and revoked.
        clock: returns the time in seconds since 1970.

    Raises:
        ParameterError: if the circuit's weights are not to be encrypted.
        TypeError: if an argument has another type.
        ValueError: if a name is none, the seed has another length, or `first` or `least` is out of range.
    """

    def __init__(
        self,
        circuit: Circuit,
        permitted: Iterable[str] = (),
        *,
        signing_seed: bytes | None = None,
        first: int = 0,
        least: int = 0,
        revoked: Iterable[str] = (),
        clock: Clock = time.time,
    ) -> None:
        self._circuit, self._public = require_weights(circuit), circuit.public
        seed = os.urandom(_SEED_BYTES) if signing_seed is None else signing_seed
        if len(instance(seed, bytes, "signing_seed", "draw it with secrets.token_bytes(32)")) != _SEED_BYTES:
            raise ValueError(f"`signing_seed` must have {_SEED_BYTES} bytes, got {len(seed)}")
        self.signing_seed = seed
        self._signer = Ed25519PrivateKey.from_private_bytes(seed)
        self._permitted, self._revoked = set(map(_named, permitted)), set(map(_named, revoked))
        self._next = integer(first, "first", 0)
        self._least = integer(least, "least", 0, self._next)
        self._clock, self._lock = clock, Lock()

    @property
    def interface(self) -> bytes:
        """The interface for clients, as bytes."""
        return interface_bytes(self._public.interface)

    @property
    def circuit(self) -> Circuit:
        """The circuit for the evaluator, without weights and salt."""
        return self._public

    @property
    def verification_key(self) -> bytes:
        """32 bytes by which clients and evaluators verify what this owner signs."""
        return self._signer.public_key().public_bytes_raw()

    @property
    def permitted(self) -> frozenset[str]:
        """The names of the public keys that may have the network."""
        return frozenset(self._permitted)

    @property
    def revoked(self) -> frozenset[str]:
        """The names of the public keys that were permitted, and no longer are: what an owner who continues is given."""
        return frozenset(self._revoked)

    @property
    def next_number(self) -> int:
        """The number of the next permission: what an owner who continues is given as `first`."""
        return self._next

    @property
    def least_number(self) -> int:
        """The least number that still counts: what an owner who continues is given as `least`."""
        return self._least

    def permit(self, name: str) -> None:
        """Permit one more public key, by its name.

        Raises:
            ValueError: if it is no name of a public key.
        """
        self._permitted.add(_named(name))
        self._revoked.discard(name)

    def require_permitted(self, name: str) -> None:
        """Check that a public key may have the network, by its name.

        Raises:
            NotPermittedError: if it may not.
        """
        if name not in self._permitted:
            raise NotPermittedError("the public key is not among those that the model's owner permits")

    def revoke(self, name: str) -> bytes:
        """Take a public key out of the permitted ones, and return a signed revocation of all that was issued so far.

        Of a key that has been revoked, the newest revocation is returned again: the first one may not have reached all.
        Others get the network anew, by `issue`. An evaluator that does not follow the protocol can go on with what it
        has: for that, compile anew, with another salt, for other keys.

        Args:
            name: the public key's, `PublicKey.id`.

        Returns:
            The revocation, for `Session.revoke` and `Client.admit`.

        Raises:
            NotPermittedError: if it never was among them.
        """
        with self._lock:
            if name not in self._revoked:
                self.require_permitted(name)
                self._permitted.discard(name)
                self._revoked.add(name)
                self._least = self._next
        return self.revocation

    @property
    def revocation(self) -> bytes:
        """The newest revocation: what was issued before it permits nothing."""
        fields = {"circuit": self._public.interface.digest, "least": self._least}
        return Revocation.signed(self._signer, **fields).to_bytes()

    def issue(self, public_key: PublicKey | bytes, seconds: int = DAY) -> EncryptedNetwork:
        """Encrypt the network for a permitted client.

        Args:
            public_key: the client's (`Client.public_key`), or its bytes.
            seconds: how long the permission is to last, from 1.

        Returns:
            The network, for the evaluator alone; the client gets its `permission`.

        Raises:
            MessageError: if the public key is damaged, foreign, or made for another circuit.
            NotPermittedError: if it is not permitted; nothing is encrypted then.
            ValueError: if `seconds` is out of range.
        """
        seconds = integer(seconds, "seconds", 1, MOST_SECONDS)
        key = PublicKey.of(public_key, self._public.interface)
        with self._lock:
            self.require_permitted(key.id)
            number, self._next = self._next, self._next + 1
        ciphertexts = list(PublicEncryptor(self._circuit, key).encrypted())
        permission = Permission.signed(
            self._signer,
            circuit=key.circuit,
            key=key.key,
            network=network_digest(ciphertexts),
            number=number,
            expires=int(self._clock()) + seconds,
        )
        return EncryptedNetwork(permission, ciphertexts)


def _named(name: str) -> str:
    """Return a public key's name, if it is one."""
    if not is_digest(name):
        raise ValueError(f"a public key's name must be 64 hexadecimal digits (`PublicKey.id`), got {name!r:.80}")
    return name
