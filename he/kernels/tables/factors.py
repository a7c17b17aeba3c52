"""Polynomials that many others are multiplied with, in as little memory as their primes allow."""

from collections.abc import Sequence

import numpy as np

from intnn.machine.jit import compiled

SPARE = 64  # bytes behind a row, for its last words to be read as a vector


class Factors:
    """Transformed polynomials times 2**52, row by row: what a product with them takes is mostly reading them.

    A row's words have as many bytes as its prime.

    Attributes:
        addresses: int64 [..., primes], of every row.
    """

    def __init__(self, rows: np.ndarray, moduli: Sequence[int]) -> None:
        """Copy rows uint64 [..., primes, N], the last but one axis belonging to these primes."""
        self.addresses = np.empty(rows.shape[:-1], np.int64)
        self._rows = []
        for place in np.ndindex(self.addresses.shape):
            width = word_bytes(moduli[place[-1]])
            row = np.empty(rows.shape[-1] * width + SPARE, np.uint8)
            row[:-SPARE] = rows[place].astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].ravel()
            self._rows.append(row)
            self.addresses[place] = row.ctypes.data


@compiled
def word_bytes(prime: int) -> int:
    """The bytes of a residue."""
    width = 1
    while prime >> (8 * width):
        width += 1
    return width
