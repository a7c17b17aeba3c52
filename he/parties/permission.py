"""What a model's owner signs: who may use an encrypted network, how long, and which permissions no longer count.

Signatures are Ed25519 (RFC 8032). A permission names the circuit, the client's key, and the ciphertexts of the network
by their digest, so that nothing can be put in another's place. Times are seconds since 1970 by the clock of whoever
checks them, which must be about right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from he.circuit.commitment import is_digest
from he.formats.messages import Kind, MessageError, largest_message, open_message, require_fields, seal_message
from intnn.values.arrays import instance
from intnn.values.value_object import ValueObject

OWNER_BYTES = 32  # of the key by which an owner's signatures are verified
SIGNATURE_BYTES = 64
MOST_SIGNED_BYTES = largest_message(SIGNATURE_BYTES)
_DOMAIN = b"encrypted inference: signed by a model's owner"  # no other signature of the toolkit begins so
_LARGEST = 1 << 53  # of numbers and times

Clock = Callable[[], float]


class NotPermittedError(ValueError):
    """A model's owner has not permitted this use of an encrypted network, or no longer does."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not permitted: {reason}")


@dataclass(frozen=True)
class Signed(ValueObject):
    """What has fields and a signature over all of them."""

    signature: bytes

    def __post_init__(self) -> None:
        for name, value in self._fields().items():
            if isinstance(value, str) and not is_digest(value):
                raise MessageError(f"`{name}` must be 64 hexadecimal digits in lower case, got {value!r:.80}")
            if not isinstance(value, str) and not (type(value) is int and 0 <= value <= _LARGEST):
                raise MessageError(f"`{name}` must be an integer from 0 to 2**53, got {value!r:.80}")
        if not isinstance(self.signature, bytes) or len(self.signature) != SIGNATURE_BYTES:
            raise MessageError(f"`signature` must be {SIGNATURE_BYTES} bytes, got {self.signature!r:.80}")

    @classmethod
    def _kind(cls) -> Kind:
        raise NotImplementedError

    @classmethod
    def _who(cls) -> str:
        return "the model's owner"

    @classmethod
    def _names(cls) -> Sequence[str]:
        return [name for name in cls.__dataclass_fields__ if name != "signature"]

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names()}

    @classmethod
    def signed(cls, signer: Ed25519PrivateKey, /, **fields: Any) -> Self:
        """Return these fields, signed by an owner's key."""
        return cls(signature=signer.sign(cls._content(fields)), **fields)

    @classmethod
    def _content(cls, fields: dict[str, Any]) -> bytes:
        return _DOMAIN + cls._kind().value + json.dumps(fields, sort_keys=True).encode()

    def to_bytes(self) -> bytes:
        """Return it as it travels; `from_bytes` is the inverse."""
        return seal_message(self._kind(), self._fields(), [self.signature])

    @classmethod
    def from_bytes(cls, data: bytes, owner: bytes) -> Self:
        """Read what `to_bytes` returned, if this owner has signed it.

        Args:
            data: the message.
            owner: the 32 bytes of the owner's verification key (`ModelOwner.verification_key`), which whoever checks
                has from the owner itself, and not from whoever brings the message.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign, or a field is malformed.
            NotPermittedError: if another owner has signed it, or nobody.
            TypeError: if an argument is no bytes.
            ValueError: if `owner` has another length.
        """
        key = verification_key(owner)
        fields, parts = open_message(cls._kind(), data, SIGNATURE_BYTES)
        require_fields(fields, *cls._names())
        if len(parts) != 1:
            raise MessageError(f"a message that is signed must have one signature, got {len(parts)} parts")
        found = cls(signature=bytes(parts[0]), **fields)
        try:
            key.verify(found.signature, cls._content(fields))
        except InvalidSignature:
            raise NotPermittedError(f"{cls._who()} has not signed this") from None
        return found


@dataclass(frozen=True)
class Permission(Signed):
    """What permits one client's key to have an encrypted network evaluated.

    Attributes:
        circuit: the digest of the circuit's interface.
        key: the name of the client's evaluation keys.
        network: the digest of the ciphertexts (`he.parties.encrypted_network`).
        number: of all that the owner has issued, in order.
        expires: the time from which it permits nothing, in whole seconds.

    Raises:
        MessageError: if a field is malformed.
    """

    circuit: str
    key: str
    network: str
    number: int
    expires: int

    @classmethod
    def _kind(cls) -> Kind:
        return Kind.PERMISSION

    def require(self, circuit: str, key: str, clock: Clock = time.time, revocation: Revocation | None = None) -> None:
        """Check that this permits a key to use a circuit now.

        Args:
            circuit: the digest of the circuit's interface.
            key: the name of the evaluation keys.
            clock: returns the time.
            revocation: the newest that is known of this circuit, if any.

        Raises:
            NotPermittedError: if it does not.
        """
        if self.circuit != circuit:
            raise NotPermittedError("the permission is for another circuit")
        if self.key != key:
            raise NotPermittedError("the permission is for another key")
        if clock() >= self.expires:
            raise NotPermittedError("the permission has expired; ask the model's owner for another")
        if revocation and self.number < revocation.least:
            raise NotPermittedError("the permission has been revoked; ask the model's owner for another")


@dataclass(frozen=True)
class Revocation(Signed):
    """What says which permissions of a circuit no longer count: whoever is still permitted has a newer one.

    Attributes:
        circuit: the digest of the circuit's interface.
        least: the least number of a permission that counts.

    Raises:
        MessageError: if a field is malformed.
    """

    circuit: str
    least: int

    @classmethod
    def _kind(cls) -> Kind:
        return Kind.REVOCATION

    def newest(self, known: Revocation | None, circuit: str) -> Revocation:
        """Return which counts, this or one that is known: the one that revokes the most.

        Args:
            known: one of the same owner's and for the same circuit, if any.
            circuit: the digest of the circuit's interface.

        Raises:
            NotPermittedError: if this is for another circuit, which says nothing of that one.
        """
        if self.circuit != circuit:
            raise NotPermittedError("the revocation is for another circuit; ask the model's owner for this one's")
        return self if known is None or self.least > known.least else known


def verification_key(signer: bytes, name: str = "owner", due: str = "ModelOwner.verification_key") -> Ed25519PublicKey:
    """Return the key by which signatures are verified, given its 32 bytes.

    Args:
        signer: the bytes.
        name: the argument that they were given as.
        due: what has to be given.

    Raises:
        TypeError: if it is no bytes.
        ValueError: if it has another length.
    """
    instance(signer, bytes, name, f"give `{due}`")
    if len(signer) != OWNER_BYTES:
        raise ValueError(f"`{name}` must be {OWNER_BYTES} bytes, `{due}`, got {len(signer)}")
    return Ed25519PublicKey.from_public_bytes(signer)
