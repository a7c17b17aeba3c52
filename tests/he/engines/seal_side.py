"""What SEAL does beside the engine: it encrypts and decrypts slots, at any level."""

import numpy as np
import tenseal.sealapi as sealapi

from he.formats import compact
from he.formats.seal_bridge import from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, write_ciphertext
from he.parties.keys import SecretKey


def encrypted(secret: SecretKey, slots: np.ndarray, scale: float = 1.0, level: int | None = None) -> bytes:
    """A fresh ciphertext of slots as it travels; that of CKKS may have any level, that of BFV has the highest."""
    parameters, plain = secret.parameters, sealapi.Plaintext()
    ids = level_ids(secret.context, parameters)
    if parameters.scheme.exact:
        sealapi.BatchEncoder(secret.context).encode(slots.tolist(), plain)
    else:
        sealapi.CKKSEncoder(secret.context).encode(slots.tolist(), ids[level or parameters.levels], scale, plain)
    made = to_bytes(secret.encryptor().encrypt_symmetric(plain))
    return compact.compact(made, compact.Form.fresh(parameters, level), parameters, ids)


def decrypted(secret: SecretKey, residues: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, int]:
    """The slots of a ciphertext's residues [2, level, N], and for BFV the bits of budget that are left."""
    parameters, plain = secret.parameters, sealapi.Plaintext()
    array = CiphertextArray(residues, parameters.scheme.ntt_form, scale)
    data = write_ciphertext(array, level_ids(secret.context, parameters))
    ciphertext, decryptor = from_bytes(sealapi.Ciphertext(), secret.context, data), secret.decryptor()
    decryptor.decrypt(ciphertext, plain)
    if parameters.scheme.exact:
        slots = np.array(sealapi.BatchEncoder(secret.context).decode_int64(plain))
        return slots, decryptor.invariant_noise_budget(ciphertext)
    return np.array(sealapi.CKKSEncoder(secret.context).decode_double(plain)), 0
