"""The two schemes, as values that know in what they differ."""

from __future__ import annotations

from enum import StrEnum

import numpy as np


class Scheme(StrEnum):
    """A homomorphic scheme, equal to its name.

    BFV computes on integers modulo t, exactly; CKKS on reals at a scale, approximately.
    """

    BFV = "bfv"
    CKKS = "ckks"

    @property
    def exact(self) -> bool:
        """Whether decryption gives the very integers that were computed."""
        return self is Scheme.BFV

    @property
    def rows(self) -> int:
        """Rows of the slot matrix: rotations act within a row. BFV has two, CKKS has one, of complex numbers."""
        return 2 if self is Scheme.BFV else 1

    @property
    def dtype(self) -> type[np.int64] | type[np.float64]:
        """What slots hold."""
        return np.int64 if self is Scheme.BFV else np.float64

    @property
    def ntt_form(self) -> bool:
        """Whether SEAL keeps ciphertexts in transformed form, so that they travel in it."""
        return self is Scheme.CKKS

    @property
    def copies(self) -> int:
        """How often a logit must be repeated in the slots.

        Without a noise budget, two copies that agree are the sign of a sound result.
        """
        return 1 if self is Scheme.BFV else 2
