"""The trainer's side: exact inner products with encrypted samples, for which it asks the authority."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from he.functional.checks import own
from he.functional.instance import Instance
from he.functional.parties.owner import Schemes
from he.functional.parties.request import KeyRequest
from he.functional.scheme import Ciphertext, FunctionalKey, Scope
from he.functional.schemes import scheme
from intnn.values.arrays import IntArray, integer, integers
from intnn.values.arrays import instance as of_type

_REMEMBERED = 1 << 12  # ranges of samples, by a trainer's products


class _Part(NamedTuple):
    """Some samples of one ciphertext, and what a key must be for that opens them."""

    ciphertext: Ciphertext
    scope: Scope | None
    samples: slice


class KeySource(Protocol):
    """Whoever issues functional keys: an `Authority`, or a `RemoteAuthority` that asks one."""

    def issue(self, request: KeyRequest) -> FunctionalKey:
        """Issue a key.

        Raises:
            BudgetError: The budget does not allow it.
        """


class Products:
    """The inner products of one instance's encrypted samples with vectors that the authority issues keys for.

    Samples are numbered through all ciphertexts, which lie one behind the other, also of several owners.

    Args:
        authority: Whom to ask for keys.
        instance: The instance whose samples it decrypts.
        ciphertexts: The encrypted samples; `he.functional.parties.owner.arranged` puts several owners' in order.
        schemes: What implements a scheme, by its name.

    Attributes:
        instance: The instance.
        samples: The number of all samples.
        keys_issued: How many keys this trainer was issued: one for every vector, and for every scope of it where keys
            hold for some samples only.

    Raises:
        TypeError: ``instance`` is none, or a ciphertext is none of its scheme.
        MismatchError: A ciphertext belongs to another instance.
        ValueError: There is none.
    """

    def __init__(
        self,
        authority: KeySource,
        instance: Instance,
        ciphertexts: Iterable[Ciphertext],
        schemes: Schemes = scheme,
    ) -> None:
        self.instance = of_type(instance, Instance, "instance")
        self._authority, self._scheme = authority, schemes(self.instance.scheme)
        kind = self._scheme.types.ciphertext
        them = [own(ciphertext, kind, "ciphertexts", self.instance) for ciphertext in ciphertexts]
        if not them:
            raise ValueError("`ciphertexts` must be one or more, got none")
        self._ciphertexts, self._ends = them, list(accumulate(ciphertext.samples for ciphertext in them))
        self.samples, self.keys_issued, self._is_scoped = self._ends[-1], 0, self._scheme.keys_are_scoped
        self._places: dict[tuple[int, int], list[_Part]] = {}

    def products(self, y: ArrayLike, start: int, stop: int) -> IntArray:
        """Ask for keys, and decrypt.

        Args:
            y: Vectors, int64 [keys, length], within the instance's limit.
            start: The first sample.
            stop: One behind the last sample.

        Returns:
            The inner products <x, y> of these samples with all vectors, int64 [stop - start, keys], exact.

        Raises:
            TypeError: An argument is no integer.
            ValueError: A value or a shape is wrong, or there are no such samples.
            BudgetError: The authority refuses a key.
            MismatchError: A product could be wrong: a ciphertext is damaged or forged.
        """
        stop = integer(stop, "stop", 1, self.samples)
        start = integer(start, "start", 0, stop - 1)
        vectors, found, key = integers(y, "y"), [], None
        for ciphertext, scope, samples in self._places.get((start, stop)) or self._place(start, stop):
            if key is None or self._is_scoped:
                request = KeyRequest(self.instance, vectors, scope)
                key, vectors = self._authority.issue(request), request.y
                self.keys_issued += len(vectors)
            found.append(self._scheme.decrypt(ciphertext, key, samples))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _place(self, start: int, stop: int) -> list[_Part]:
        """Where samples lie, which is remembered: training asks for the same ones in every pass."""
        parts, at, number = [], start, bisect_right(self._ends, start)
        while at < stop:
            ciphertext, begin = self._ciphertexts[number], self._ends[number - 1] if number else 0
            first, last = at - begin, min(stop, self._ends[number]) - begin
            parts.append(_Part(ciphertext, ciphertext.scope(first, last), slice(first, last)))
            at, number = begin + last, number + 1
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        self._places[start, stop] = parts
        return parts
