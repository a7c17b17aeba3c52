"""Values of the fast engine: residues in transformed form, and what was made of them."""

from __future__ import annotations

from threading import RLock

import numpy as np


class Value:
    """Residues [size, level, N] in transformed form; what was made of them is kept for whoever asks next.

    A rotation leaves them *extended*: times the special prime, with a row for it, [2, level + 1, N]. The division by
    the special prime (mod-down) is lazy: sums and plain products do not need it, and one does for all of their terms
    (double hoisting; J.-P. Bossuat et al., "Efficient bootstrapping for approximate homomorphic encryption with
    non-sparse keys", EUROCRYPT 2021, section 4.3).

    Attributes:
        residues: the residues, or None until somebody has needed them.
        extended: the residues times the special prime, or None for what is no sum of rotations.
        digits: the digits of the second polynomial, once a rotation has asked for them.
        lock: held while something is made that several operations may want.
        rotations: how many rotations will read the value, if that is known.
        readers: how many operations will read the value, if that is known.
    """

    __slots__ = ("digits", "extended", "lock", "readers", "residues", "rotations")

    def __init__(self, residues: np.ndarray | None, extended: np.ndarray | None = None) -> None:
        self.residues, self.extended = residues, extended
        self.digits: np.ndarray | None = None
        self.lock = RLock()
        self.rotations = self.readers = 0

    @property
    def level(self) -> int:
        """Its number of data primes."""
        if self.residues is not None:
            return self.residues.shape[1]
        assert self.extended is not None
        return self.extended.shape[1] - 1

    def fresh(self, rotations: int) -> Value:
        """The same residues with nothing remembered, for so many rotations."""
        value = Value(self.residues)
        value.rotations = rotations
        return value
