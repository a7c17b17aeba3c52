"""The client, which encrypts images and decrypts logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi
from numpy.typing import ArrayLike

from he.circuit.interface import Interface, require_interface
from he.formats import compact
from he.formats.messages import Kind, MessageError, open_message, require_match, seal_message
from he.formats.seal_bridge import SealDataError, from_bytes, level_ids, to_bytes
from he.parties.keys import EvaluationKeys, SecretKey
from he.ring.params import SECURITIES, ParameterError, Security, require_security
from he.ring.slots import imaginary_units
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable


class DecryptionError(ValueError):
    """The decryption of a ciphertext could be wrong, so none of it is returned."""


class Client(Unstorable, instead="they hold a secret key: store that with `SecretKey.save`"):
    """Encrypts images and decrypts logits. It holds the secret key, and no message that it makes contains that key.

    Args:
        interface: the circuit's public part, as an object or as the bytes of `interface_bytes`.
        secret_key: a key for the interface's parameters, such as a stored one; by default a new one is generated.
        evaluation_keys: keys made before from this secret key for this circuit, or their bytes, which a session may
            have already; by default new ones are generated.
        security: the least security that the client accepts: `"128"`; `"128-2018"`, which accepts both; or `"insecure"`
            for tests, which accepts all.

    Attributes:
        interface: the circuit's public part.

    Raises:
        MessageError: if the bytes are no interface, or the evaluation keys were made for another circuit or from
            another secret key.
        ParameterError: if the interface's parameters are less secure or SEAL refuses them, or the secret key is for
            other parameters.
        TypeError: if an argument has another type.
    """

    def __init__(
        self,
        interface: Interface | bytes,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | bytes | None = None,
        *,
        security: Security = "128",
    ) -> None:
        self.interface = interface if isinstance(interface, Interface) else _read_interface(interface)
        self._parameters = self.interface.parameters
        require_security(security)
        if [spec.source.kind for spec in self.interface.client_inputs] != ["ciphertext"]:
            raise MessageError(
                "the interface must ask the data owner for one encrypted input, got "
                f"{[(spec.name, spec.source.kind) for spec in self.interface.client_inputs]}; this client has no other"
            )
        if evaluation_keys is not None and secret_key is None:
            raise ParameterError("`secret_key` must be given with `evaluation_keys`: the one that they were made from")
        proposed = self._parameters.security
        if SECURITIES.index(proposed) > SECURITIES.index(security):
            raise ParameterError(
                f'the interface proposes parameters of security "{proposed}", less than "{security}"; refuse it, or '
                f'pass security="{proposed}" if that is what you want'
            )
        self._exact = self._parameters.scheme.exact
        if secret_key is None:
            secret_key = SecretKey.generate(self._parameters)
        self._secret_key = instance(secret_key, SecretKey, "secret_key", "read a stored one with `SecretKey.load`")
        if evaluation_keys is None:
            self._keys = self._secret_key.evaluation_keys(self.interface)
        else:
            self._keys = EvaluationKeys.of(evaluation_keys)
            self._keys.require(self.interface)
            self._secret_key.require_own(self._keys)
        self._context = self._secret_key.context
        self._ids = level_ids(self._context, self._parameters)
        self._encryptor, self._decryptor = self._secret_key.encryptor(), self._secret_key.decryptor()
        self._encoder: Any = (sealapi.BatchEncoder if self._exact else sealapi.CKKSEncoder)(self._context)

    @property
    def evaluation_keys(self) -> EvaluationKeys:
        """The relinearisation and Galois keys that a session needs; they hold nothing secret."""
        return self._keys

    @property
    def secret_key(self) -> SecretKey:
        """The secret key; `SecretKey.save` stores it under a password, for another client of its owner."""
        return self._secret_key

    def prepare(self, images: ArrayLike) -> np.ndarray:
        """Convert floats to what `encrypt` takes: for BFV, multiply by the input's scale, saturate and round.

        Args:
            images: finite floats [batch, *shape], in the units that the float network was trained on.

        Returns:
            [batch, *shape]: int64 for BFV, equal to `IntNetwork.quantise_input` of the plain network; float64 for CKKS.

        Raises:
            TypeError: if `images` does not hold floats.
            ValueError: on NaN or infinity.
        """
        (spec,) = self.interface.client_inputs
        return spec.prepare(images, self._parameters.scheme)

    def encrypt(self, images: np.ndarray) -> bytes:
        """Encrypt a batch.

        Args:
            images: [batch, *shape] with batch from 1 to `interface.images`: integers in the network's input domain for
                BFV, floats in its input range for CKKS.

        Returns:
            A request for `Session.evaluate`.

        Raises:
            InputError: if shape, dtype, range or batch are wrong, or a value is NaN; nothing has been encrypted then.
        """
        (spec,) = self.interface.client_inputs
        batch = spec.check(images, self._parameters.scheme)
        parts = [self._compact(self._encrypted(slots)) for slots in spec.layout.pack(batch)]
        fields = {"circuit": self.interface.digest, "key": self._keys.id, "images": len(batch)}
        return seal_message(Kind.REQUEST, fields, parts)

    def decrypt(self, response: bytes) -> np.ndarray:
        """Decrypt a session's answer.

        Returns:
            Logits [batch, outputs]: int64 for BFV, equal to the plain network's; float64 for CKKS, within half of
            `interface.tolerance` of the plain network's.

        Raises:
            MessageError: if the bytes are damaged, foreign, or made for another circuit or key.
            DecryptionError: if a ciphertext is malformed, has no noise budget, or decrypts to copies that disagree.
        """
        ciphertexts, images = self._received(response)
        try:
            slots = np.stack([self._decrypted(ciphertext) for ciphertext in ciphertexts])
            return self.interface.output.unpack(slots, images, self.interface.tolerance)
        except DecryptionError:
            raise
        except ValueError as error:  # copies that disagree, or what SEAL's decoder refuses
            raise DecryptionError(str(error)) from error

    def noise_budget(self, response: bytes) -> int:
        """Return the bits of noise budget that a BFV answer has left; `Circuit.output_bound` is a lower bound on it.

        Raises:
            MessageError: if the bytes are damaged, foreign, or made for another circuit or key.
            DecryptionError: if a ciphertext is malformed.
            TypeError: if the scheme is CKKS, which has no noise budget.
        """
        if not self._exact:
            raise TypeError("a CKKS ciphertext has no noise budget")
        return min(map(self._decryptor.invariant_noise_budget, self._received(response)[0]))

    def _received(self, response: bytes) -> tuple[list[Any], int]:
        """Return the ciphertexts of an answer to this client, and the number of images that they are for."""
        fields, parts = open_message(Kind.RESPONSE, response)
        require_match(fields, "circuit", self.interface.digest, "circuit or parameter set")
        require_match(fields, "key", self._keys.id, "key: only the client that encrypted a request can read the answer")
        images = fields.get("images")
        expected = self.interface.output.ciphertexts
        if len(parts) != expected or type(images) is not int or not 1 <= images <= self.interface.images:
            raise MessageError(
                f"a response must hold {expected} ciphertext(s) for 1 to {self.interface.images} images, "
                f"got {len(parts)} for {images}"
            )
        return [self._result(part) for part in parts], images

    def _result(self, part: bytes) -> Any:
        try:
            restored = compact.restored(part, self._parameters, self._ids)
            ciphertext = from_bytes(sealapi.Ciphertext(), self._context, restored)
        except SealDataError as error:
            raise DecryptionError(str(error)) from error
        if (
            ciphertext.is_transparent()  # it would be legible without a key
            or ciphertext.is_ntt_form() == self._exact
            or not math.isclose(ciphertext.scale, self.interface.output_scale, rel_tol=1e-9)
        ):
            raise DecryptionError("the ciphertext is not in the form of a result: it was damaged or forged")
        return ciphertext

    def _encrypted(self, slots: np.ndarray) -> Any:
        plaintext = sealapi.Plaintext()
        if self._exact:
            self._encoder.encode(slots.tolist(), plaintext)
        else:
            assert self._parameters.scale_bits is not None
            if self.interface.both_parts:
                real, imaginary = slots.reshape(2, -1)
                slots = real + imaginary_units(2 * len(real)) * imaginary
            self._encoder.encode(slots.tolist(), 2.0**self._parameters.scale_bits, plaintext)
        return self._encryptor.encrypt_symmetric(plaintext)  # SEAL serialises it with a seed for half of it

    def _compact(self, ciphertext: Any) -> bytes:
        return compact.compact(to_bytes(ciphertext), self._parameters, self._ids)

    def _decrypted(self, ciphertext: Any) -> np.ndarray:
        plaintext = sealapi.Plaintext()
        if not self._exact:
            self._decryptor.decrypt(ciphertext, plaintext)
            if self.interface.both_parts:
                slots = np.array(self._encoder.decode_complex(plaintext))
                return np.concatenate([slots.real, (slots / imaginary_units(2 * len(slots))).real])
            return np.array(self._encoder.decode_double(plaintext))
        if self._decryptor.invariant_noise_budget(ciphertext) < 1:
            raise DecryptionError(
                "the ciphertext has no noise budget left: it was damaged, made under another key, or computed by "
                "another circuit than the one agreed on"
            )
        self._decryptor.decrypt(ciphertext, plaintext)
        return np.array(self._encoder.decode_int64(plaintext))


def interface_bytes(interface: Interface) -> bytes:
    """Return a circuit's interface as the bytes from which a `Client` is made.

    Raises:
        MessageError: if it is too large for a message.
        TypeError: if it is no interface.
    """
    return seal_message(Kind.INTERFACE, require_interface(interface).to_dict())


def _read_interface(data: bytes) -> Interface:
    fields, _ = open_message(Kind.INTERFACE, data)
    try:
        return Interface.from_dict(fields)
    except ValueError as error:
        raise MessageError(f"the interface is malformed: {error}") from error
