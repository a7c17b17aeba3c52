"""Polynomials that many others are multiplied with, in as little memory as their primes allow."""

from collections.abc import Sequence

import numpy as np

NARROW = 1 << 32  # residues of smaller primes have words of 32 bits


class Factors:
    """Transformed polynomials times 2**52, row by row: what a product with them takes is mostly reading them.

    Attributes:
        addresses: int64 [..., primes], of every row.
    """

    def __init__(self, rows: np.ndarray, moduli: Sequence[int]) -> None:
        """Copy rows uint64 [..., primes, N], the last but one axis belonging to these primes."""
        self.addresses = np.empty(rows.shape[:-1], np.int64)
        self._rows = []
        for place in np.ndindex(self.addresses.shape):
            self._rows.append(rows[place].astype(np.uint32 if moduli[place[-1]] < NARROW else np.uint64))
            self.addresses[place] = self._rows[-1].ctypes.data
