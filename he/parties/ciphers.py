"""Images to the ciphertexts of a request, and the ciphertexts of its answer to logits, under one secret key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from he.circuit.guards import images_outside
from he.circuit.interface import Interface
from he.circuit.residues import combined, interfaces
from he.formats.messages import MessageError
from he.formats.seal_bridge import SealDataError
from he.parties.cipher import Cipher
from he.parties.keys import SecretKey
from he.parties.public_key import PublicKey
from he.parties.questions import Question
from intnn.values.value_object import Unstorable


class Ciphers(Unstorable, instead="they hold a secret key: store that with `SecretKey.save`"):
    """Encrypts the inputs and decrypts the results of an interface, modulo every plaintext modulus that it has.

    Args:
        secret_key: the key.
        interface: the circuit's public part.
        public_key: that of two owners, by which inputs are encrypted where the secret key is a share.

    Raises:
        SealDataError: if the public key is no encryption of zero.
    """

    def __init__(self, secret_key: SecretKey, interface: Interface, public_key: PublicKey | None = None) -> None:
        self._interface = interface
        self._each = [Cipher(secret_key.with_modulus(one.parameters), one, public_key) for one in interfaces(interface)]

    @property
    def secret_key(self) -> SecretKey:
        """The key that was given."""
        return self._each[0].secret_key

    @property
    def answer_bytes(self) -> int:
        """The bytes of all ciphertexts of an answer."""
        return sum(self._interface.ciphertexts * cipher.result.bytes for cipher in self._each)

    def encrypt(self, packed: Sequence[np.ndarray]) -> list[bytes]:
        """Return fresh ciphertexts of slot vectors [slots], modulo one plaintext modulus after the other."""
        return [cipher.encrypt(slots) for cipher in self._each for slots in packed]

    def read(self, parts: Sequence[bytes | memoryview], added: Sequence[np.ndarray] | None = None) -> list[list[Any]]:
        """Return the ciphertexts of an answer, those of each modulus together. The key is not used.

        Args:
            parts: the ciphertexts.
            added: for each the model owner's part of its decryption (`he.parties.threshold.parts`), uint64 [level, N].

        Raises:
            MessageError: if they are more or fewer than an answer has, or have not a result's form.
        """
        each = self._interface.ciphertexts
        if len(parts) != each * len(self._each):
            raise MessageError(f"a response must hold {each * len(self._each)} ciphertext(s), got {len(parts)}")
        pairs = list(zip(parts, [None] * len(parts) if added is None else added, strict=True))
        try:
            return [[cipher.read(*pair) for pair in pairs[each * i :][:each]] for i, cipher in enumerate(self._each)]
        except SealDataError as error:
            raise MessageError(f"the response cannot be decrypted: {error}") from error

    def decrypt(self, ciphertexts: list[list[Any]], question: Question) -> tuple[np.ndarray | None, list[int]]:
        """Return the logits of the answer to a question, None if it is no result, and the images that left their range.

        Everything is looked at before that is said.
        """
        opened = [self._opened(cipher, read, question) for cipher, read in zip(self._each, ciphertexts, strict=True)]
        sound = [logits for logits, _ in opened if logits is not None]
        whole = combined(self._interface, sound) if len(sound) == len(opened) else None
        return whole, [image for _, outside in opened for image in outside]

    def _opened(
        self, cipher: Cipher, ciphertexts: list[Any], question: Question
    ) -> tuple[np.ndarray | None, list[int]]:
        """Return the logits, or their residues, that ciphertexts decrypt to, None if they are no result.

        Beside them are the images that have left the range for which the circuit was calibrated.
        """
        interface, output, packing = self._interface, self._interface.output, self._interface.packing
        try:
            slots, sound = zip(*map(cipher.decrypt, ciphertexts), strict=True)
            restored = packing.permuted(np.stack(slots), question.order.argsort(axis=1))
            found, shown = restored[: output.ciphertexts], restored[output.ciphertexts :]
            if outside := images_outside(interface.guards, packing, shown, interface.output_scale, question.images):
                return None, outside if all(sound) else []
            logits = output.unpack(found, question.images, interface.tolerance)
        except ValueError:  # copies that disagree, or what SEAL's decoder refuses
            return None, []
        return (logits if all(sound) else None), []
