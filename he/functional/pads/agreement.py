"""A key that an owner and the authority share, and nobody else: X25519 (RFC 7748) and HKDF with SHA-256 (RFC 5869).

Every ciphertext has a key pair of its own, whose public half travels with it. Both public keys and the instance go into
the derivation, so that another encoding of the same point, or another instance, gives a key that tells nothing of this
one. Whoever lets an authority derive keys for headers of his own choice learns nothing of other ciphertexts as long as
the gap Diffie-Hellman problem on Curve25519 is hard and HKDF behaves as a random function: a classical assumption,
which a large quantum computer would break.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from he.functional.errors import MismatchError

#: Bytes of a secret key, of a public key, and of what is agreed on.
KEY_BYTES = 32

_PURPOSE = b"functional encryption by pads"


class Secret:
    """A secret key, and what belongs to it.

    Args:
        secret: Any 32 bytes.

    Attributes:
        public: The public key, 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    def agreed(self, other: bytes, owner: bytes, authority: bytes, instance: str) -> bytes:
        """The shared key, 32 bytes: either side asks its own secret for it, with the other's public key.

        Args:
            other: The other side's public key.
            owner: The public key of the ciphertext, its header.
            authority: The public key of the instance.
            instance: The instance's id.

        Raises:
            MismatchError: The other key is one of the few with which every secret agrees on the same.
        """
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError as error:
            raise MismatchError("a public key is of small order and protects nothing; ask for an honest one") from error
        return HKDF(SHA256(), KEY_BYTES, None, _PURPOSE + bytes.fromhex(instance) + owner + authority).derive(shared)
