"""The values of the fast engine: ciphertexts as residues in transformed form."""

from __future__ import annotations

from threading import RLock

import numpy as np


class Value:
    """A ciphertext as residues [size, level, N] in transformed form, with results that several operations share.

    The result of a rotation is *extended*: times the special primes, with a row for each, [2, rows, N]. The division
    by the special primes (mod-down) is lazy: sums and plain products do not need it, and one division serves all of
    their terms (double hoisting; J.-P. Bossuat et al., "Efficient bootstrapping for approximate homomorphic encryption
    with non-sparse keys", EUROCRYPT 2021, section 4.3).

    Attributes:
        residues: uint64 [size, level, N]; None for an extended value that has not been divided yet.
        extended: uint64 [2, rows, N], the residues times the special primes; None if the value is not extended.
        specials: the number of special primes of an extended value.
        digits: the digits of the second polynomial, which its rotations share; None until they have been computed.
        lifted: of BFV, the residues modulo the data primes and the auxiliary ones, uint64 [2, primes, N]; None until a
            sum of products has asked for them.
        lock: held while residues are computed that several operations may need.
        rotations: the number of rotations that will read the value; 0 if unknown.
        readers: the number of operations that will read the value; 0 if unknown.
    """

    __slots__ = ("digits", "extended", "lifted", "lock", "readers", "residues", "rotations", "specials")

    def __init__(self, residues: np.ndarray | None, extended: np.ndarray | None = None, specials: int = 1) -> None:
        self.residues, self.extended, self.specials = residues, extended, specials
        self.digits: np.ndarray | None = None
        self.lifted: np.ndarray | None = None
        self.lock = RLock()
        self.rotations = self.readers = 0

    @property
    def level(self) -> int:
        """The number of data primes."""
        if self.residues is not None:
            return self.residues.shape[1]
        assert self.extended is not None
        return self.extended.shape[1] - self.specials

    def fresh(self, rotations: int) -> Value:
        """Return a value with the same residues and no digits, which so many rotations will read."""
        value = Value(self.residues)
        value.rotations = rotations
        return value
