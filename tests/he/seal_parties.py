"""Keys, encryption and decryption by SEAL, for what has no circuit. Not a test by itself."""

from math import prod
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, expanded, read_ciphertext, read_keys, read_secret, write_ciphertext
from he.formats.switching import RELINEARISATION
from he.kernels.passes import evaluate
from he.ring.gadget import Gadget
from he.ring.params import Parameters


class SealParties:
    """A data owner, who has a secret key, and the evaluation keys that it gives away.

    Attributes:
        parameters: of both.
        encoder: of the parameters.
        spectrum: the secret, transformed, modulo every prime: uint64 [primes, N].
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.encoder = Encoder.of(self.parameters)
        self.context = create_context(self.parameters)
        self._ids = level_ids(self.context, self.parameters)
        self._generator = sealapi.KeyGenerator(self.context)
        self._key = self._generator.secret_key()
        self._exact = parameters.scheme.exact
        self._encoder: Any = (sealapi.BatchEncoder if self._exact else sealapi.CKKSEncoder)(self.context)
        self._encryptor = sealapi.Encryptor(self.context, self._key)
        self._decryptor = sealapi.Decryptor(self.context, self._key)
        self.spectrum = read_secret(to_bytes(self._key), self.parameters, self.context.key_parms_id())

    def keys(self, elements: tuple[int, ...], *, relinearisation: bool = False) -> SwitchingKeys:
        """Return the keys of Galois elements, and that of relinearisation if wanted."""
        made = self._read(self._generator.create_galois_keys(list(elements))) if elements else {}
        keys = {element: made[element // 2] for element in elements}
        if relinearisation:
            keys[RELINEARISATION] = self._read(self._generator.create_relin_keys())[0]
        gadget = Gadget.of(self.parameters, self.parameters.levels)
        return SwitchingKeys.of(self.encoder, ((element, gadget, key) for element, key in keys.items()))

    def _read(self, keys: Any) -> dict[int, np.ndarray]:
        read, primes = read_keys(to_bytes(keys), self.parameters, self.context.key_parms_id()), self.parameters.primes
        return {i: np.stack([expanded(digit, primes).residues for digit in digits]) for i, digits in read.items()}

    def encrypt(self, slots: np.ndarray, level: int | None = None) -> np.ndarray:
        """Return a fresh ciphertext, in transformed form; one of CKKS may be dropped to a level.

        Args:
            slots: integers [N] for BFV, real or complex numbers [N / 2] for CKKS.
            level: the level of the result, by default all.
        """
        plaintext = sealapi.Plaintext()
        scale = () if self._exact else (self.parameters.input_scale,)
        self._encoder.encode(slots.tolist(), *scale, plaintext)
        data = to_bytes(self._encryptor.encrypt_symmetric(plaintext))
        read = expanded(read_ciphertext(data, self.parameters, self._ids), self.parameters.data_primes)
        residues = self._each(evaluate.forward, read.residues) if self._exact else read.residues
        return np.ascontiguousarray(residues[:, : level or self.parameters.levels])

    def decrypt(self, residues: np.ndarray, scale: float | None = None) -> np.ndarray:
        """Return the slots of a ciphertext by SEAL: integers for BFV; complex numbers for CKKS, by default at the input
        scale.
        """
        read = self._each(evaluate.inverse, residues) if self._exact else np.ascontiguousarray(residues)
        array = CiphertextArray(read, not self._exact, scale or self.parameters.input_scale)
        ciphertext = from_bytes(sealapi.Ciphertext(), self.context, write_ciphertext(array, self._ids))
        plaintext = sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        return np.array((self._encoder.decode_int64 if self._exact else self._encoder.decode_complex)(plaintext))

    def _each(self, transform: Any, residues: np.ndarray) -> np.ndarray:
        result = residues.copy()
        for component in result:
            for j, row in enumerate(component):
                transform(self.encoder.tables, row, j)
        return result

    def phase(self, residues: np.ndarray) -> list[int]:
        """Return c0 + c1 s as integers within half of the modulus, all bits of them."""
        level, primes = residues.shape[1], self.parameters.data_primes
        rows = np.empty((level, residues.shape[2]), np.uint64)
        for j, p in enumerate(primes[:level]):
            products = residues[1, j].astype(object) * self.spectrum[j].astype(object)
            rows[j] = (products + residues[0, j].astype(object)) % p
            evaluate.inverse(self.encoder.tables, rows[j], j)
        q = prod(primes[:level])
        hats = [q // p * pow(q // p, -1, p) for p in primes[:level]]
        whole = [sum(int(r) * hat for r, hat in zip(column, hats, strict=True)) % q for column in rows.T]
        return [a - q if 2 * a > q else a for a in whole]
