"""The trainer's side: exact inner products with encrypted samples, for which it asks the authority."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from he.functional.checks import own
from he.functional.instance import Instance
from he.functional.parties.owner import Schemes
from he.functional.parties.request import KeyRequest
from he.functional.scheme import Ciphertext, FunctionalKey
from he.functional.schemes import scheme
from intnn.values.arrays import IntArray, integer, integers
from intnn.values.arrays import instance as of_type


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
        self.samples, self.keys_issued = self._ends[-1], 0

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
        vectors, number, parts, key = integers(y, "y"), bisect_right(self._ends, start), [], None
        while start < stop:
            ciphertext, begin = self._ciphertexts[number], self._ends[number - 1] if number else 0
            first, last = start - begin, min(stop, self._ends[number]) - begin
            if key is None or self._scheme.keys_are_scoped:
                request = KeyRequest(self.instance, vectors, ciphertext.scope(first, last))
                key, vectors = self._authority.issue(request), request.y
                self.keys_issued += len(vectors)
            parts.append(self._scheme.decrypt(ciphertext, key, slice(first, last)))
            start, number = begin + last, number + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
