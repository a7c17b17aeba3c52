"""Slot vectors to ciphertexts and back, under one secret key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from secrets import token_bytes
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.circuit.interface import Interface
from he.circuit.rounding import rounded_slots
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.seal_bridge import from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, require, write_ciphertext
from he.parties.keys import SecretKey
from he.parties.public_key import PublicKey
from he.program.operations import Plain
from he.ring.params import Parameters
from he.ring.slots import imaginary_units, packed_places, polynomial
from intnn.values.value_object import Unstorable


class Cipher(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Encrypts inputs and decrypts results of one circuit.

    Args:
        secret_key: the key, or the data owner's share of it.
        interface: the circuit's public part.
        public_key: that of two owners, by which inputs are encrypted where the secret key is a share.

    Attributes:
        secret_key: the key.
        result: the form of a result's ciphertexts.

    Raises:
        SealDataError: if the public key is no encryption of zero.
    """

    def __init__(self, secret_key: SecretKey, interface: Interface, public_key: PublicKey | None = None) -> None:
        self.secret_key = secret_key
        self._interface, self._parameters = interface, interface.parameters
        self._exact = self._parameters.scheme.exact
        self._context = secret_key.context
        self._ids = level_ids(self._context, self._parameters)
        self.result = Form.result(self._parameters, interface.output_level, interface.output_scale)
        self._decryptor = secret_key.decryptor()
        if public_key is None:
            self._encrypt: Any = secret_key.encryptor().encrypt_symmetric
        else:
            self._encrypt = self._by(
                sealapi.Encryptor(self._context, loaded(public_key, self._parameters, self._context))
            )
        self._encoder: Any = (sealapi.BatchEncoder if self._exact else sealapi.CKKSEncoder)(self._context)

    def encrypt(self, slots: np.ndarray) -> bytes:
        """Return a fresh ciphertext of slots [slots] as it travels, by a secret key with a seed for half of it."""
        plaintext = sealapi.Plaintext()
        if self._exact:
            self._encoder.encode(slots.tolist(), plaintext)
        else:
            # Rounded to the nearest, images could be chosen whose errors all add up.
            operand, salt = Plain(0, self._parameters.levels, self._parameters.input_scale), token_bytes(32)
            if self._interface.both_parts:
                real, imaginary = (
                    rounded_slots(part, operand, salt + bytes([i])) for i, part in enumerate(slots.reshape(2, -1))
                )
                slots = real + imaginary_units(2 * len(real)) * imaginary
            else:
                slots = rounded_slots(slots, operand, salt)
            self._encoder.encode(slots.tolist(), self._parameters.input_scale, plaintext)
        return compact.compact(
            to_bytes(self._encrypt(plaintext)), Form.fresh(self._parameters), self._parameters, self._ids
        )

    @staticmethod
    def _by(encryptor: Any) -> Any:
        """Return what encrypts by a public key."""

        def encrypt(plaintext: Any) -> Any:
            ciphertext = sealapi.Ciphertext()
            encryptor.encrypt(plaintext, ciphertext)
            return ciphertext

        return encrypt

    def read(self, part: bytes | memoryview, added: np.ndarray | None = None) -> Any:
        """Return a result as SEAL's object. The key is not used, and SEAL reads nothing but what we have written.

        Args:
            part: the result, as it travels.
            added: the model owner's part of the decryption (`he.parties.threshold.parts`), uint64 [level, N].

        Raises:
            SealDataError: if the bytes are no ciphertext of the form of a result, or one that is legible without a key.
        """
        read = compact.read(part, self.result)
        require(bool(read.residues[1].any(axis=1).all()), "it is legible without a key, and so no result")
        if added is not None:
            read.residues[0] = (read.residues[0] + added) % np.array(self.result.primes, np.uint64)[:, None]
        return from_bytes(sealapi.Ciphertext(), self._context, write_ciphertext(read, self._ids))

    def decrypt(self, ciphertext: Any) -> tuple[np.ndarray, bool]:
        """Return the slots [slots] of a result, and whether it has noise budget left; CKKS has none to look at.

        Raises:
            ValueError: if SEAL's decoder refuses the plaintext.
        """
        plaintext = sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        if self._exact:
            return np.array(self._encoder.decode_int64(plaintext)), self.noise_budget(ciphertext) >= 1
        if self._interface.both_parts:
            slots = np.array(self._encoder.decode_complex(plaintext))
            return np.concatenate([slots.real, (slots / imaginary_units(2 * len(slots))).real]), True
        return np.array(self._encoder.decode_double(plaintext)), True

    def noise_budget(self, ciphertext: Any) -> int:
        """Return the bits of noise budget that a BFV ciphertext has left.

        Of a ciphertext that somebody has made for the purpose, the number tells a part of the secret key: show it to
        nobody.

        Raises:
            TypeError: if the scheme is CKKS, which has none.
        """
        if not self._exact:
            raise TypeError("a CKKS ciphertext has no noise budget")
        return self._decryptor.invariant_noise_budget(ciphertext)


def loaded(key: PublicKey, parameters: Parameters, context: Any) -> Any:
    """Return SEAL's public key, written anew from its residues.

    Raises:
        SealDataError: if the key is no encryption of zero.
    """
    residues = switching.read_zero(key.data, parameters, len(parameters.primes))
    written = write_ciphertext(CiphertextArray(residues, True, 1.0), {len(parameters.primes): context.key_parms_id()})
    return from_bytes(sealapi.PublicKey(), context, written)


class PairCipher(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Encrypts and decrypts CKKS slots of pairs a + b X**(N / 2), at any scale and level.

    Encryption is that of `he.parties.batch`; SEAL has drawn the secret key, and decrypts.

    Args:
        secret_key: The key.
        threads: The number of threads that encrypt, by default one for each processor that this process may use.

    Raises:
        ParameterError: The scheme is BFV.
        ValueError: ``threads`` is out of range.
    """

    def __init__(self, secret_key: SecretKey, threads: int | None = None) -> None:
        self._context = secret_key.context
        self._ids = level_ids(self._context, secret_key.parameters)
        self._batch, self._decryptor = secret_key.batch_encryptor(threads), secret_key.decryptor()
        self._encoder = sealapi.CKKSEncoder(self._context)
        self._units = imaginary_units(secret_key.parameters.poly_modulus_degree)

    def encrypt(self, pairs: np.ndarray, form: Form) -> Iterator[bytes]:
        """Yield a fresh ciphertext for every row of slots, in a seeded form.

        Args:
            pairs: complex128 [n, N / 2], where a + b i stands for the pair a + b X**(N / 2); or a alone, float64.
            form: The form of each of them.

        Raises:
            ValueError: if a number is too large for its scale and level.
        """
        return self._batch.encrypt(pairs, len(form.primes), form.scale)

    def encrypt_packed(self, pairs: np.ndarray, form: Form) -> bytes:
        """Return a fresh ciphertext, in a seeded form, with pairs where `decrypt_packed` finds them.

        Args:
            pairs: float64 [count, 2], for a count from 1 to N / 2.
            form: The ciphertext's form.

        Raises:
            ValueError: if a number is too large for its scale and level.
        """
        coefficients = np.zeros((form.degree // 2, 2))
        coefficients[packed_places(form.degree, len(pairs))] = pairs
        (made,) = self._batch.encrypt_coefficients(coefficients.T.reshape(1, -1), len(form.primes), form.scale)
        return made

    def decrypt(self, data: bytes | memoryview, form: Form) -> np.ndarray:
        """Return the two numbers of every slot, float64 [2, N / 2], of a ciphertext of this form.

        Raises:
            SealDataError: if the bytes are no ciphertext of the form, or one that is legible without a key.
            ValueError: if SEAL's decoder refuses the plaintext.
        """
        slots = self._slots(data, form)
        return np.stack([slots.real, (slots / self._units).real])

    def decrypt_packed(self, data: bytes | memoryview, form: Form, count: int) -> np.ndarray:
        """Return the pairs, float64 [count, 2], that a ciphertext of this form holds at `he.ring.slots.packed_places`.

        Raises:
            SealDataError: if the bytes are no ciphertext of the form, or one that is legible without a key.
            ValueError: if SEAL's decoder refuses the plaintext.
        """
        coefficients = polynomial(self._slots(data, form))
        return coefficients.reshape(2, -1).T[packed_places(form.degree, count)]

    def _slots(self, data: bytes | memoryview, form: Form) -> np.ndarray:
        # SEAL decodes at no scale beyond the modulus, which numbers that are small have: so it is divided by here.
        read, plaintext = replace(compact.read(data, form), scale=1.0), sealapi.Plaintext()
        require(bool(read.residues[1].any(axis=1).all()), "it is legible without a key, and so no result")
        written = from_bytes(sealapi.Ciphertext(), self._context, write_ciphertext(read, self._ids))
        self._decryptor.decrypt(written, plaintext)
        return np.array(self._encoder.decode_complex(plaintext)) / form.scale


class ExactCipher(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Encrypts and decrypts BFV slots, at any level.

    Args:
        secret_key: the key, whose parameters name the plaintext modulus t.
    """

    def __init__(self, secret_key: SecretKey) -> None:
        self._parameters, self._context = secret_key.parameters, secret_key.context
        self._ids = level_ids(self._context, self._parameters)
        self._encryptor, self._decryptor = secret_key.encryptor(), secret_key.decryptor()
        self._encoder = sealapi.BatchEncoder(self._context)

    def encrypt(self, slots: np.ndarray) -> bytes:
        """Return a fresh ciphertext of integers modulo t, int64 [N], as it travels: in the form of `Form.fresh`."""
        plaintext = sealapi.Plaintext()
        self._encoder.encode((slots % self._parameters.t).tolist(), plaintext)
        ciphertext = self._encryptor.encrypt_symmetric(plaintext)
        return compact.compact(to_bytes(ciphertext), Form.fresh(self._parameters), self._parameters, self._ids)

    def read(self, data: bytes | memoryview, level: int) -> Any:
        """Return a ciphertext at a level as SEAL's object. The key is not used.

        Raises:
            SealDataError: if the bytes are no ciphertext of that level, or one that is legible without a key.
        """
        read = compact.read(data, Form.result(self._parameters, level, 1.0))
        require(bool(read.residues[1].any(axis=1).all()), "it is legible without a key, and so no result")
        return from_bytes(sealapi.Ciphertext(), self._context, write_ciphertext(read, self._ids))

    def decrypt(self, ciphertext: Any) -> np.ndarray | None:
        """Return the slots of what `read` returned, int64 [N] from 0 to t - 1; None if it has no noise budget left."""
        plaintext = sealapi.Plaintext()
        if self._decryptor.invariant_noise_budget(ciphertext) < 1:
            return None
        self._decryptor.decrypt(ciphertext, plaintext)
        return np.array(self._encoder.decode_int64(plaintext)) % self._parameters.t
