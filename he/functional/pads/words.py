"""Pads, and inner products modulo 2^32."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from he.kernels.passes import inner as kernels
from intnn.values.arrays import IntArray

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


def wrapped_products(words: Words, factors: Words) -> NDArray[np.int32]:
    """Inner products modulo 2^32, of [-2^31, 2^31).

    Args:
        words: uint32 [samples, length].
        factors: The vectors to multiply by, from `as_factors`: uint32 [length, keys].

    Returns:
        int32 [samples, keys].
    """
    products = np.empty((len(words), factors.shape[1]), np.uint32)
    kernels.wrapped_products(np.array(words), factors, products)  # of a message, words may lie at any byte
    return products.view(np.int32)


def as_factors(y: IntArray) -> Words:
    """Vectors as `wrapped_products` takes them: int64 [keys, length] modulo 2^32 and as columns."""
    return y.T.astype(np.uint32, order="C")
