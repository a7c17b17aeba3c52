"""Rows of residues packed to the bits of their primes: 64 words to as many words of 64 bits as a word has bits.

Where this process has loaded Numba, kernels do it; else numpy does, with the same bits, in ten times the time. Someone
who encrypts an image waits longer for a compiler to be loaded than for that.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import product

import numpy as np

from he.ring.packed import word_bits


def packed(row: np.ndarray, prime: int) -> bytes:
    """Pack residues uint64 [N] without gaps; N is a multiple of 64."""
    if "numba" in sys.modules:
        from he.kernels.passes import bits  # loads what this process has loaded already

        return bits.packed(row, prime)
    return packed_by_numpy(row, prime)


def unpacked(data: bytes | memoryview, primes: tuple[int, ...], out: np.ndarray) -> bool:
    """Unpack rows uint64 [polynomials, level, N] from the first bytes; tell whether all are below their primes."""
    if "numba" in sys.modules:
        from he.kernels.passes import bits

        return bits.unpacked(data, primes, out)
    return unpacked_by_numpy(data, primes, out)


def packed_by_numpy(row: np.ndarray, prime: int) -> bytes:
    """Do what `packed` does, without kernels."""
    width = word_bits(prime)
    if width == 64:
        return row.astype("<u8").tobytes()
    words = np.ascontiguousarray(row.reshape(-1, 64).T)
    out = np.zeros((width, len(row) // 64), np.uint64)
    for word, (place, held, begun) in zip(words, _places(width), strict=True):
        out[place] |= word << held
        if begun:
            out[place + 1] |= word >> begun
    return out.T.astype("<u8").tobytes()


def unpacked_by_numpy(data: bytes | memoryview, primes: tuple[int, ...], out: np.ndarray) -> bool:
    """Do what `unpacked` does, without kernels."""
    at, sound = 0, True
    for polynomial, (j, prime) in product(out, enumerate(primes)):
        row, width = polynomial[j], word_bits(prime)
        read = np.frombuffer(data, "<u8", len(row) * width // 64, at).astype(np.uint64)
        row[:] = read if width == 64 else _rows(read, width)
        at += read.nbytes
        sound &= bool((row < np.uint64(prime)).all())
    return sound


def _rows(data: np.ndarray, width: int) -> np.ndarray:
    words = np.ascontiguousarray(data.reshape(-1, width).T)
    out = np.empty((64, words.shape[1]), np.uint64)
    for row, (place, held, begun) in zip(out, _places(width), strict=True):
        np.right_shift(words[place], held, out=row)
        if begun:
            row |= words[place + 1] << begun
    return (out & np.uint64((1 << width) - 1)).T.ravel()


@cache
def _places(width: int) -> list[tuple[int, np.uint64, np.uint64]]:
    """Tell where each of 64 words lies: in which word of 64 bits, behind how many bits, and how many that one holds.

    The last number is 0 where it holds all of them.
    """
    places = [divmod(i * width, 64) for i in range(64)]
    return [(at, np.uint64(held), np.uint64(64 - held if held + width > 64 else 0)) for at, held in places]
