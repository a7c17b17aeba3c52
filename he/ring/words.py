"""Uniform words that nobody can tell from random ones, as many as are wanted: AES-256 in counter mode."""

from __future__ import annotations

import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SEED_BYTES = 32
_BLOCK = 16


class Words:
    """A stream of uniform words under a key. It is no place for two threads.

    Args:
        seed: 32 bytes, the key of AES-256; from the operating system's generator by default. Whoever passes one gets
            the same numbers again, and must not use it twice.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        key = secrets.token_bytes(SEED_BYTES) if seed is None else seed
        self._stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(_BLOCK))).encryptor()
        self._zeros, self._buffer = np.zeros(0, np.uint8), np.zeros(0, np.uint8)

    def words(self, count: int) -> np.ndarray:
        """Return the next words of the stream, uint64 [count], in memory that the next call writes again."""
        size = 8 * count
        if len(self._zeros) < size:
            self._zeros, self._buffer = np.zeros(size, np.uint8), np.zeros(size + _BLOCK, np.uint8)
        self._stream.update_into(self._zeros[:size].data, self._buffer.data)
        return self._buffer[:size].view("<u8")
