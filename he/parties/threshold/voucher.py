"""What an evaluator signs of an answer, so that the model owner helps to open answers and nothing else.

Whoever helps to open anything reads anything: a data owner could pass an encrypted weight for an answer. So the model
owner opens what an evaluator has vouched for, of whom it trusts that it evaluates; best itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from he.formats.messages import Kind, message_digest, open_message, unchanging
from he.parties.permission import Signed
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable

_SEED_BYTES = 32


@dataclass(frozen=True)
class Voucher(Signed):
    """What an evaluator says of an answer: that it has evaluated a request to it.

    Attributes:
        answer: the digest with which the answer ends.

    Raises:
        MessageError: if a field is malformed.
    """

    answer: str

    @classmethod
    def _kind(cls) -> Kind:
        return Kind.VOUCHER

    @classmethod
    def _who(cls) -> str:
        return "the evaluator"


class Vouching(Unstorable, instead="keep its seed secret, and make it again"):
    """Signs an evaluator's answers.

    Args:
        seed: 32 secret bytes; by default random ones.

    Raises:
        TypeError: if it is no bytes.
        ValueError: if it has another length.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        seed = os.urandom(_SEED_BYTES) if seed is None else seed
        if len(instance(seed, bytes, "seed", "draw it with secrets.token_bytes(32)")) != _SEED_BYTES:
            raise ValueError(f"`seed` must have {_SEED_BYTES} bytes, got {len(seed)}")
        self._signer = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def verification_key(self) -> bytes:
        """32 bytes by which a model owner verifies what is signed."""
        return self._signer.public_key().public_bytes_raw()

    def vouch(self, answer: bytes) -> bytes:
        """Return a voucher for an answer of a session of this evaluator's own.

        Raises:
            MessageError: if it is no answer.
        """
        answer = unchanging(Kind.RESPONSE, answer)
        open_message(Kind.RESPONSE, answer)
        return Voucher.signed(self._signer, answer=message_digest(answer)).to_bytes()
