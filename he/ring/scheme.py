"""The two schemes, as values that state their differences."""

from __future__ import annotations

from enum import StrEnum

import numpy as np


class Scheme(StrEnum):
    """A homomorphic scheme, equal to its name.

    BFV computes exactly, on integers modulo t; CKKS computes approximately, on reals at a scale.
    """

    BFV = "bfv"
    CKKS = "ckks"

    @property
    def exact(self) -> bool:
        """Whether decryption gives exactly what was computed, which BFV does."""
        return self is Scheme.BFV

    @property
    def rows(self) -> int:
        """The number of rows of slots: 2 for BFV, 1 (of complex numbers) for CKKS. Rotations act within a row."""
        return 2 if self is Scheme.BFV else 1

    @property
    def dtype(self) -> type[np.int64] | type[np.float64]:
        """The numpy type of slots: int64 for BFV, float64 for CKKS."""
        return np.int64 if self is Scheme.BFV else np.float64

    @property
    def ntt_form(self) -> bool:
        """Whether ciphertexts travel in transformed (NTT) form, as SEAL keeps those of CKKS."""
        return self is Scheme.CKKS
