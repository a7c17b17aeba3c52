"""What a model's owner encrypts with under a client's public key."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tenseal.sealapi as sealapi

from he.circuit.circuit import Circuit
from he.engines.rns.encoder import Encoder
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import MessageError
from he.formats.seal_bridge import SealDataError, create_context, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, read_ciphertext
from he.kernels.passes.evaluate import add_rows, inverse
from he.parties.cipher import loaded
from he.parties.public_key import PublicKey
from he.program.operations import Plain
from intnn.values.value_object import Unstorable


class PublicEncryptor(Unstorable, instead="keep the public key, and make it again"):
    """Encrypts a circuit's operands under a public key, each at the level and the scale at which it is used.

    SEAL encrypts zero, to which the encoded operand is added.

    Args:
        circuit: the circuit, with its weights.
        key: the public key.

    Raises:
        MessageError: if the key is no encryption of zero.
    """

    def __init__(self, circuit: Circuit, key: PublicKey) -> None:
        parameters = circuit.parameters
        self._circuit, self._parameters, self._encoder = circuit, parameters, Encoder.of(parameters)
        self._context = create_context(parameters)
        self._ids = level_ids(self._context, parameters)
        try:
            self._encryptor = sealapi.Encryptor(self._context, loaded(key, parameters, self._context))
        except SealDataError as error:
            raise MessageError(f"the public key is unusable: {error}") from error

    def encrypted(self) -> Iterator[bytes]:
        """Yield the ciphertexts of `Program.encrypted`, in that order, as they travel."""
        return map(self._encrypted, self._circuit.program.encrypted)

    def _encrypted(self, plain: Plain) -> bytes:
        form, zero = Form.operand(self._parameters, plain.level, plain.scale), sealapi.Ciphertext()
        self._encryptor.encrypt_zero(self._ids[plain.level], zero)
        residues = read_ciphertext(to_bytes(zero), self._parameters, self._ids).residues.astype(np.uint64)
        operand = np.array(self._encoder.addend(self._circuit.operand(plain), plain)[None])
        tables = self._encoder.tables
        if not form.ntt:
            for prime, row in enumerate(operand[0]):
                inverse(tables, row, prime)
        add_rows(tables, residues[:1], operand, plain.level - 1, residues[:1])
        return compact.write(CiphertextArray(residues, form.ntt, form.scale), form)
