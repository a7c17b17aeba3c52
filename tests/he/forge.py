"""Ciphertexts and messages that no honest party would send, with every digest right."""

import struct
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from he.formats import compact
from he.formats.messages import Kind, open_message, seal_message
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.ring.params import Parameters

_SEAL_HEADER = struct.Struct("<HBBBBHQ")  # magic, its own size, version (two), compression, reserved, total size


def with_part(kind: Kind, message: bytes, part: bytes, index: int = 0) -> bytes:
    """The message with another part in place of its own."""
    fields, parts = open_message(kind, message)
    return seal_message(kind, fields, [*parts[:index], part, *parts[index + 1 :]])


def with_fields(kind: Kind, message: bytes, **changes: Any) -> bytes:
    """The message with other fields in its header."""
    fields, parts = open_message(kind, message)
    return seal_message(kind, {**fields, **changes}, parts)


def part_of(kind: Kind, message: bytes, index: int = 0) -> bytes:
    """One binary part of a message."""
    return open_message(kind, message)[1][index]


def ciphertext_fields(ciphertext: Any) -> dict[str, Any]:
    """What `ciphertext_bytes` takes: everything that SEAL writes about a ciphertext."""
    levels, N = ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree()
    return {
        "parms_id": ciphertext.parms_id(),
        "ntt": ciphertext.is_ntt_form(),
        "size": ciphertext.size(),
        "N": N,
        "levels": levels,
        "scale": ciphertext.scale,
        "residues": [ciphertext[i] for i in range(ciphertext.size() * levels * N)],
    }


def ciphertext_bytes(
    *, parms_id: list[int], ntt: bool, size: int, N: int, levels: int, scale: float, residues: Any
) -> bytes:
    """SEAL 4's own format, uncompressed: whatever the arguments say, true or not."""
    data = np.asarray(residues, dtype="<u8").tobytes()
    head = struct.pack("<4Q?QQQdQ", *parms_id, ntt, size, N, levels, scale, 1)
    return _seal_object(head + _seal_object(struct.pack("<Q", len(data) // 8) + data))


def _seal_object(body: bytes) -> bytes:
    version = to_bytes(sealapi.Plaintext("0"))[3:5]
    return _SEAL_HEADER.pack(0xA15E, 16, *version, 0, 0, _SEAL_HEADER.size + len(body)) + body


def load_ciphertext(parameters: Parameters, data: bytes) -> Any:
    """SEAL's object."""
    context = create_context(parameters)
    restored = compact.restored(data, parameters, level_ids(context, parameters))
    return from_bytes(sealapi.Ciphertext(), context, restored)
