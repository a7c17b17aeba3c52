"""Polynomials that many others are multiplied with, in as little memory as their primes allow."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import store
from intnn.values.arrays import Array
from intnn.values.value_object import Unstorable

SPARE = 64  # bytes behind a row, for its last words to be read as a vector


class Factors(Unstorable, instead="pack the polynomials again"):
    """Transformed polynomials times 2**52, row by row: what a product with them takes is mostly reading them.

    A row's words have as many bytes as its prime.

    Args:
        memory: The bytes of all polynomials, uint8 [size(N, moduli) times their number]; they are kept, and written by
            `put` alone.
        N: The number of words of a row.
        moduli: The prime of every row of a polynomial.
        shape: The axes along which the polynomials are arranged.

    Attributes:
        memory: The rows, one behind the other, each with `SPARE` bytes behind it.
        addresses: The address of every row, int64 [*shape, primes].
    """

    def __init__(self, memory: np.ndarray, N: int, moduli: Sequence[int], shape: tuple[int, ...] = ()) -> None:
        self.memory = memory
        self._N, self._moduli = N, moduli
        self._sizes = [_row_bytes(N, p) for p in moduli]
        starts = np.cumsum([0, *self._sizes])
        polynomials = memory.ctypes.data + starts[-1] * np.arange(prod(shape), dtype=np.int64)
        self.addresses = (polynomials[:, None] + starts[:-1]).reshape(*shape, len(moduli))

    @staticmethod
    def packed(rows: np.ndarray, moduli: Sequence[int]) -> Factors:
        """Copy rows uint64 [..., primes, N]; entry j of the last axis but one belongs to the j-th of these primes."""
        *shape, _, N = rows.shape
        result = Factors.empty(N, moduli, tuple(shape))
        for place in np.ndindex(*shape):
            result.put(place, rows[place])
        return result

    @staticmethod
    def empty(N: int, moduli: Sequence[int], shape: tuple[int, ...]) -> Factors:
        """Make room for polynomials, which are 0 until they are put there."""
        return Factors(np.zeros(prod(shape) * Factors.size(N, moduli), np.uint8), N, moduli, shape)

    def put(self, place: tuple[int, ...], rows: np.ndarray) -> None:
        """Copy the rows of a polynomial, uint64 [primes, N], to its place among the others."""
        starts = self.addresses[place] - self.memory.ctypes.data
        for row, start, size in zip(rows, starts.tolist(), self._sizes, strict=True):
            _pack(row, (size - SPARE) // len(row), self.memory[start : start + size])

    def rows(self) -> np.ndarray:
        """Copy all rows to words of eight bytes, uint64 [rows, N], one polynomial after the other."""
        result = np.empty((self.addresses.size, self._N), np.uint64)
        starts = (self.addresses.ravel() - self.memory.ctypes.data).tolist()
        for i, (row, start) in enumerate(zip(result, starts, strict=True)):
            width = _width(self._moduli[i % len(self._moduli)])
            words = np.ndarray(self._N, "<u8", self.memory, start, (width,))  # what is above a word is of the next ones
            np.bitwise_and(words, (1 << 8 * width) - 1, out=row)
        return result

    @staticmethod
    def size(N: int, moduli: Sequence[int]) -> int:
        """Count the bytes of a polynomial with these primes."""
        return sum(_row_bytes(N, p) for p in moduli)


store_word = emitted(store)


@compiled
def _pack(row: Array, width: int, out: Array) -> None:
    """Store words of so many bytes side by side; the zeros above a word are where the next one, or nothing, comes."""
    at = out.ctypes.data
    for k in range(row.size):
        store_word((row[k], at + k * width))


def _row_bytes(N: int, prime: int) -> int:
    return N * _width(prime) + SPARE


def _width(prime: int) -> int:
    """Count the bytes of a residue as `word_bytes` does, without compiling anything: a stored circuit is only read."""
    return -(-prime.bit_length() // 8)


@compiled
def word_bytes(prime: int) -> int:
    """Count the bytes of a residue."""
    width = 1
    while prime >> (8 * width):
        width += 1
    return width
