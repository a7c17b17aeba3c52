"""The format in which ciphertexts travel: residues in as many bits as their primes have, and a seed where there is one.

Fresh residues are uniform, so no compressor makes them shorter, and SEAL's takes longer to undo than the first layers
take to evaluate. SEAL's own serialisation is read as well.

A ciphertext holds, in this order: magic (4 bytes), number of polynomials, level, flags (1: transformed, 2: a seed names
the last polynomial) and 0 (1 byte each), scale (8 bytes); the polynomials except one that a seed names, prime by prime,
in words of as many bits as the prime, without gaps; the seed (64 bytes). Numbers are little-endian.
"""

from __future__ import annotations

import struct

import numpy as np

from he.formats.seal_bytes import CiphertextArray, LevelIds, expanded, read_ciphertext, require, write_ciphertext
from he.kernels.passes.bits import packed, unpacked, word_bits
from he.kernels.passes.expand import SEED_BYTES
from he.ring.params import Parameters

_MAGIC = b"HEC1"
_HEADER = struct.Struct("<4sBBBBd")
_TRANSFORMED, _SEEDED = 1, 2


def compact(data: bytes, parameters: Parameters, ids: LevelIds) -> bytes:
    """Convert SEAL's serialisation of a ciphertext to this format.

    Raises:
        SealDataError: if the bytes are no ciphertext of these parameters.
    """
    return write(read_ciphertext(data, parameters, ids, expand=False), parameters)


def write(ciphertext: CiphertextArray, parameters: Parameters) -> bytes:
    """Return a ciphertext in this format, with its seed if it has one."""
    size, level, _ = ciphertext.residues.shape
    seed = b"" if ciphertext.seed is None else ciphertext.seed.astype("<u8").tobytes()
    flags = _TRANSFORMED * ciphertext.ntt + _SEEDED * bool(seed)
    head = _HEADER.pack(_MAGIC, size + bool(seed), level, flags, 0, ciphertext.scale)
    primes = parameters.primes[:level]
    rows = [packed(row, p) for rows in ciphertext.residues for row, p in zip(rows, primes, strict=True)]
    return b"".join([head, *rows, seed])


def read(data: bytes, parameters: Parameters, ids: LevelIds) -> CiphertextArray:
    """Read a ciphertext of two or three polynomials, in this format or SEAL's; a seed is expanded.

    Raises:
        SealDataError: if the bytes are no ciphertext of these parameters; the message names the problem.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        return read_ciphertext(data, parameters, ids)
    return expanded(_read(data, parameters), parameters)


def restored(data: bytes, parameters: Parameters, ids: LevelIds) -> bytes:
    """Convert this format to SEAL's serialisation; bytes in another format are returned unchanged and unchecked.

    Raises:
        SealDataError: if the bytes begin as this format but are no ciphertext of these parameters.
    """
    return write_ciphertext(_read(data, parameters), ids) if data[: len(_MAGIC)] == _MAGIC else data


def _read(data: bytes, parameters: Parameters) -> CiphertextArray:
    require(len(data) >= _HEADER.size, "the ciphertext is truncated")
    _, size, level, flags, zero, scale = _HEADER.unpack_from(data)
    require(size in (2, 3), f"it must have two or three polynomials, got {size}")
    require(1 <= level <= parameters.levels, f"it must have 1 to {parameters.levels} primes, got {level}")
    require(flags <= _TRANSFORMED + _SEEDED and zero == 0, f"its flags must be known ones, got {flags} and {zero}")
    require(0 < scale < float("inf"), f"its scale must be positive and finite, got {scale}")
    is_seeded = bool(flags & _SEEDED)
    require(size == 2 or not is_seeded, "only the second of two polynomials can be named by a seed")
    primes, N = parameters.primes[:level], parameters.poly_modulus_degree
    words = len(data) - _HEADER.size - SEED_BYTES * is_seeded
    expected = (size - is_seeded) * sum(N * word_bits(p) // 8 for p in primes)
    require(words == expected, f"it must have {expected} bytes of residues, got {words}")
    residues = np.empty((size - is_seeded, level, N), np.uint64)
    sound = unpacked(data, _HEADER.size, primes, residues)
    require(sound, "its residues must be below their primes")
    seed = np.frombuffer(data, "<u8", offset=len(data) - SEED_BYTES).astype(np.uint64) if is_seeded else None
    return CiphertextArray(residues, bool(flags & _TRANSFORMED), scale, seed)
