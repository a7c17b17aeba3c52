"""Ciphertexts and messages that no honest party would send, with every digest right."""

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from he import Interface
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message, seal_message
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray

_SEAL_HEADER = struct.Struct("<HBBBBHQ")  # magic, its own size, version (two), compression, reserved, total size


def with_part(kind: Kind, message: bytes, part: bytes, index: int = 0) -> bytes:
    """The message with another part in place of its own; an empty one takes the part away."""
    fields, parts = open_message(kind, message)
    return seal_message(kind, fields, [*parts[:index], *([part] if part else []), *parts[index + 1 :]])


def with_fields(kind: Kind, message: bytes, **changes: Any) -> bytes:
    """The message with other fields in its header."""
    fields, parts = open_message(kind, message)
    return seal_message(kind, {**fields, **changes}, parts)


def written_to(monkeypatch: pytest.MonkeyPatch, module: str, message: bytes, later: bytes) -> bytearray:
    """The message in memory that somebody else writes other bytes to, as soon as a module has opened it there."""
    memory, opened = bytearray(message), open_message

    def changed(*given: Any, **more: Any) -> Any:
        found = opened(*given, **more)
        memory[:] = later
        return found

    monkeypatch.setattr(f"{module}.open_message", changed)
    return memory


def part_of(kind: Kind, message: bytes, index: int = 0) -> bytes:
    """One binary part of a message."""
    return bytes(open_message(kind, message)[1][index])


def form_of(kind: Kind, interface: Interface) -> Form:
    """The form of a request's or an answer's ciphertexts."""
    parameters = interface.parameters
    if kind is Kind.REQUEST:
        return Form.fresh(parameters)
    return Form.result(parameters, interface.output_level, interface.output_scale)


def with_residues(kind: Kind, interface: Interface, message: bytes, residues: np.ndarray) -> bytes:
    """The message with other residues, uint64 [polynomials, level, N], in its first ciphertext; a seed stays."""
    form = form_of(kind, interface)
    read = compact.read(part_of(kind, message), form, expand=False)
    return with_part(kind, message, compact.write(replace(read, residues=residues), form))


def residues_of(kind: Kind, interface: Interface, message: bytes) -> np.ndarray:
    """The residues that travel in a message's first ciphertext, uint64 [polynomials, level, N]."""
    return compact.read(part_of(kind, message), form_of(kind, interface), expand=False).residues


def load_ciphertext(kind: Kind, interface: Interface, data: bytes) -> Any:
    """SEAL's object for a part of a message."""
    context = create_context(interface.parameters)
    restored = compact.restored(data, form_of(kind, interface), level_ids(context, interface.parameters))
    return from_bytes(sealapi.Ciphertext(), context, restored)


def travelling(interface: Interface, ciphertext: Any) -> bytes:
    """A ciphertext of SEAL as it travels, whatever its size, level, form and scale are."""
    parameters = interface.parameters
    size, level, N = ciphertext.size(), ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree()
    residues = np.array([ciphertext[i] for i in range(size * level * N)], np.uint64).reshape(size, level, N)
    form = Form(parameters.primes[:level], N, ciphertext.is_ntt_form(), ciphertext.scale, seeded=False)
    pairs = [residues[i : i + 2] for i in range(0, size, 2)]
    halves = [CiphertextArray(pair, form.ntt, form.scale) for pair in pairs if len(pair) == 2]
    return b"".join(compact.write(half, form) for half in halves)


def seal_bomb(parms_id: Any, N: int, level: int, keys: bool) -> bytes:
    """Some hundred bytes for which SEAL's loader allocates gigabytes: no polynomials, and an array of so many words.

    They are a ciphertext, or keys of which one is such a ciphertext.
    """
    huge = 1 << 30
    array = _seal_object(struct.pack("<Q", huge))
    ciphertext = _seal_object(struct.pack("<4Q?QQQdQ", *parms_id, keys, 0, N, level, 1.0, 1) + array)
    if not keys:
        return ciphertext
    return _seal_object(struct.pack("<4QQQ", *parms_id, 1, 1) + ciphertext)


def _seal_object(body: bytes) -> bytes:
    version = to_bytes(sealapi.Plaintext("0"))[3:5]
    return _SEAL_HEADER.pack(0xA15E, 16, *version, 0, 0, _SEAL_HEADER.size + len(body)) + body
