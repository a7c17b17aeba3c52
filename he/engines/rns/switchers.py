"""How keys are switched at one level: two ways behind one interface, by the number of special primes.

With one special prime every data prime has its digit, and its kernels lift and transform it in one pass
(`he.kernels.passes.switching`). With several special primes digits are of several primes each, and fewer
(`he.kernels.passes.hybrid`). Either way a polynomial's digits are multiplied with a key, which leaves it *extended*:
times the special primes, with a row for each of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from he.engines.rns.switching_keys import SwitchingKey
from he.kernels.passes import hybrid, switching
from he.kernels.tables.chain import Tables
from he.kernels.tables.gadgets import gadget_tables
from he.ring.gadget import Gadget

Permutation = tuple[np.ndarray, np.ndarray]
Share = Callable[[int, Callable[[int, int], object]], object]
Empty = Callable[..., np.ndarray]


class Switcher(ABC):
    """Switches keys at one level.

    Args:
        tables: the tables of the encoder's chain.
        gadget: the gadget of the level.
        share: what shares a range of work among threads, as `Workers.share` does.
        empty: what gives memory, as `Buffers.empty` does.

    Attributes:
        gadget: the gadget.
        constants: its constants for kernels, `GadgetTables`.
    """

    def __init__(self, tables: Tables, gadget: Gadget, share: Share, empty: Empty) -> None:
        self.gadget, self.constants = gadget, gadget_tables(gadget)
        self._tables, self._share, self._empty = tables, share, empty

    @staticmethod
    def of(tables: Tables, gadget: Gadget, share: Share, empty: Empty) -> Switcher:
        """Return the fastest way for a gadget."""
        return (PrimeDigits if gadget.specials == 1 else GroupDigits)(tables, gadget, share, empty)

    def switch(self, x: np.ndarray, key: SwitchingKey) -> np.ndarray:
        """Return the products of a polynomial's digits with a key: uint64 [2, rows, N], from [level, N]."""
        result = self._empty(2, self.gadget.rows, x.shape[-1])
        self._share(self.gadget.rows, self._switch(x, key, result))
        return result

    def rotate(self, x: np.ndarray, key: SwitchingKey, permutation: Permutation) -> np.ndarray:
        """Return a ciphertext [2, level, N] rotated and extended, [2, rows, N], by a key that is permuted back."""
        result = self._empty(2, self.gadget.rows, x.shape[-1])
        self._share(self.gadget.rows, self._rotate(x, key, permutation, result))
        return result

    def decompose(self, x: np.ndarray) -> np.ndarray:
        """Return a polynomial's digits, which several rotations share: uint64 [rows, digits, N], from [level, N]."""
        result = self._empty(self.gadget.rows, len(self.gadget.groups), x.shape[-1])
        self._share(self.gadget.rows, self._decompose(x, result))
        return result

    @abstractmethod
    def rotate_digits(
        self, x: np.ndarray, digits: np.ndarray, key: SwitchingKey, permutation: Permutation
    ) -> np.ndarray:
        """Return what `rotate` does, from the digits of the second polynomial; all in the thread that calls."""

    @abstractmethod
    def mod_down(self, x: np.ndarray, out: np.ndarray, first: int, stop: int) -> None:
        """Divide extended polynomials [polynomials, rows, N] by the special primes, from one up to another."""

    @abstractmethod
    def _switch(self, x: np.ndarray, key: SwitchingKey, out: np.ndarray) -> Callable[[int, int], object]:
        """Return what does rows of `switch`."""

    @abstractmethod
    def _rotate(
        self, x: np.ndarray, key: SwitchingKey, permutation: Permutation, out: np.ndarray
    ) -> Callable[[int, int], object]:
        """Return what does rows of `rotate`."""

    @abstractmethod
    def _decompose(self, x: np.ndarray, out: np.ndarray) -> Callable[[int, int], object]:
        """Return what does rows of `decompose`."""


class PrimeDigits(Switcher):
    """One special prime, and a digit for every data prime."""

    def _centred(self, x: np.ndarray) -> np.ndarray:
        centred = self._empty(*x.shape)
        self._share(len(x), partial(switching.to_centred, self._tables, x, centred))
        return centred

    def _switch(self, x: np.ndarray, key: SwitchingKey, out: np.ndarray) -> Callable[[int, int], object]:
        return partial(switching.switch, self._tables, x, self._centred(x), key.by_prime, self._special, out)

    def _rotate(
        self, x: np.ndarray, key: SwitchingKey, permutation: Permutation, out: np.ndarray
    ) -> Callable[[int, int], object]:
        centred = self._centred(x[1])
        return partial(switching.rotate, self._tables, x, centred, key.by_prime, self._special, permutation, out)

    def _decompose(self, x: np.ndarray, out: np.ndarray) -> Callable[[int, int], object]:
        finished = len(x) > switching.MAX_LOOSE
        return partial(switching.decompose, self._tables, x, self._centred(x), self._special, finished, out)

    def rotate_digits(
        self, x: np.ndarray, digits: np.ndarray, key: SwitchingKey, permutation: Permutation
    ) -> np.ndarray:
        result = self._empty(2, self.gadget.rows, x.shape[-1])
        switching.rotate_digits(self._tables, x, digits, key.by_prime, self._special, permutation, result)
        return result

    def mod_down(self, x: np.ndarray, out: np.ndarray, first: int, stop: int) -> None:
        switching.mod_down(self._tables, x, self._special, out, first, stop)

    @property
    def _special(self) -> int:
        return self.gadget.indices[-1]


class GroupDigits(Switcher):
    """Several special primes, and a digit for every group of as many data primes."""

    def _parts(self, x: np.ndarray) -> tuple[Any, ...]:
        """Return what all kernels take first: tables, x, and what `to_parts` makes of it."""
        digits = len(self.gadget.groups)
        parts, multiples = self._empty(*x.shape), self._empty(digits, x.shape[-1]).view(np.int64)
        self._share(digits, partial(hybrid.to_parts, self._tables, self.constants, x, parts, multiples))
        return parts, multiples

    def _switch(self, x: np.ndarray, key: SwitchingKey, out: np.ndarray) -> Callable[[int, int], object]:
        addresses = key.at(self.gadget)
        return partial(hybrid.switch, self._tables, self.constants, x, *self._parts(x), addresses, out)

    def _rotate(
        self, x: np.ndarray, key: SwitchingKey, permutation: Permutation, out: np.ndarray
    ) -> Callable[[int, int], object]:
        operands = x, *self._parts(x[1]), key.at(self.gadget), permutation, out
        return partial(hybrid.rotate, self._tables, self.constants, *operands)

    def _decompose(self, x: np.ndarray, out: np.ndarray) -> Callable[[int, int], object]:
        return partial(hybrid.decompose, self._tables, self.constants, *self._parts(x), out)

    def rotate_digits(
        self, x: np.ndarray, digits: np.ndarray, key: SwitchingKey, permutation: Permutation
    ) -> np.ndarray:
        result = self._empty(2, self.gadget.rows, x.shape[-1])
        hybrid.rotate_digits(self._tables, self.constants, x, digits, key.at(self.gadget), permutation, result)
        return result

    def mod_down(self, x: np.ndarray, out: np.ndarray, first: int, stop: int) -> None:
        hybrid.mod_down(self._tables, self.constants, x, out, first, stop)
