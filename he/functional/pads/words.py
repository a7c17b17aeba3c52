"""Pads: words that follow from a key."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_BLOCK_BYTES = 16
#: Bytes of a word.
WORD_BYTES = 4
_WORDS = _BLOCK_BYTES // WORD_BYTES


def pads(key: bytes, start: int, count: int) -> Words:
    """Words of the pad of a key, one behind the other from a given one on.

    They are the output of AES-256 in counter mode, from counter 0 on, four little-endian words a block. As long as
    nobody tells AES-256 from a random permutation, words of q blocks, all that are asked for of one key, are told from
    random ones with an advantage below q^2 / 2^129, by the birthday bound: 2^-69 for 2^30 blocks (16 GiB), 2^-49 for
    2^40.

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
