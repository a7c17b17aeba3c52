"""The format in which single polynomials travel: residues packed as those of ciphertexts, prime by prime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from he.formats.bits import packed, unpacked
from he.formats.seal_bytes import require
from he.ring.packed import word_bits


def row_bytes(primes: Sequence[int], N: int) -> int:
    """Count the bytes of one polynomial modulo these primes."""
    return N // 8 * sum(map(word_bits, primes))


def write(rows: np.ndarray, primes: Sequence[int]) -> bytes:
    """Return a polynomial, uint64 [primes, N], in this format."""
    return b"".join(packed(row, p) for row, p in zip(rows, primes, strict=True))


def read(data: bytes | memoryview, primes: Sequence[int], N: int) -> np.ndarray:
    """Read a polynomial, uint64 [primes, N].

    Raises:
        SealDataError: if the bytes have another length, or a residue is not below its prime.
    """
    due, rows = row_bytes(primes, N), np.empty((1, len(primes), N), np.uint64)
    require(len(data) == due, f"a polynomial must have {due} bytes, got {len(data)}")
    require(unpacked(data, tuple(primes), rows), "its residues must be below their primes")
    return rows[0]
