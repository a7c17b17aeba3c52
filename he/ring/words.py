"""Uniform words that nobody can tell from random ones, as many as are wanted: AES-256 in counter mode."""

from __future__ import annotations

import os
import secrets
from threading import Lock

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SEED_BYTES = 32
_BLOCK = 16


class Words:
    """A stream of uniform words under a key.

    No word is given out twice, to whichever thread: two encryptions with equal errors would tell the secret key. In a
    process that was forked from another one the stream has a new key.

    Args:
        seed: 32 bytes, the key of AES-256; from the operating system's generator by default. Whoever passes one gets
            the same numbers again, also in a forked process, and must not use it twice.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._drawn, self._lock = seed is None, Lock()
        self._begin(seed)

    def _begin(self, seed: bytes | None) -> None:
        key = secrets.token_bytes(SEED_BYTES) if seed is None else seed
        self._stream, self._process = Cipher(algorithms.AES256(key), modes.CTR(bytes(_BLOCK))).encryptor(), os.getpid()
        self._zeros = np.zeros(0, np.uint8)

    def words(self, count: int) -> np.ndarray:
        """Return the next words of the stream, uint64 [count]."""
        size = 8 * count
        result = np.empty(size + _BLOCK, np.uint8)
        with self._lock:
            if self._drawn and self._process != os.getpid():
                self._begin(None)
            if len(self._zeros) < size:
                self._zeros = np.zeros(size, np.uint8)
            self._stream.update_into(self._zeros[:size].data, result.data)
        return result[:size].view("<u8")
