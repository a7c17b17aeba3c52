"""Pads, and inner products modulo 2^32."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from he.functional.blas import product
from intnn.values.arrays import FloatArray

Words = NDArray[np.uint32]

_BLOCK_BYTES = 16
#: Bytes of a word.
WORD_BYTES = 4
_WORDS = _BLOCK_BYTES // WORD_BYTES


def pads(key: bytes, start: int, count: int) -> Words:
    """Words of the pad of a key, one behind the other from a given one on.

    They are the output of AES-256 in counter mode, from counter 0 on, four little-endian words a block. As long as
    nobody tells AES-256 from a random permutation, words of 2^30 blocks are told from random ones with an advantage
    below 2^-68, by the birthday bound.

    Args:
        key: 32 bytes.
        start: The first word.
        count: The number of words.

    Returns:
        uint32 [count], read-only.
    """
    block, skipped = divmod(start, _WORDS)
    stream = Cipher(AES256(key), CTR(block.to_bytes(_BLOCK_BYTES, "big"))).encryptor()
    return np.frombuffer(stream.update(bytes((skipped + count) * WORD_BYTES)), "<u4", offset=skipped * WORD_BYTES)


def wrapped_products(words: Words, factors: FloatArray, limit: int) -> NDArray[np.int32]:
    """Inner products modulo 2^32, by the processor's product of float64 matrices as a unit of exact integers.

    Words count as integers of [-2^31, 2^31), which is the same modulo 2^32. A sum over at most 2^22 / limit of them has
    a magnitude of at most 2^53, and so have all sums of some of its terms: float64 holds every one exactly, in whatever
    order they are added. Longer vectors are cut.

    Args:
        words: uint32 [samples, length].
        factors: The vectors to multiply by, as columns: integers in float64 [length, keys].
        limit: The largest magnitude that a factor may have, below 2^15.

    Returns:
        int32 [samples, keys].
    """
    columns = (1 << 22) // limit
    parts = (
        product(words[:, at : at + columns].view("<i4").astype(np.float64), factors[at : at + columns])
        for at in range(0, len(factors), columns)
    )
    total = next(parts).astype(np.int64)
    for part in parts:
        total += part.astype(np.int64)  # at most 2^16 / 2^7 parts: below 2^62
    return total.astype(np.int32)
