"""Sums of points times small integers, for many vectors of integers and one vector of points after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from coincurve._libsecp256k1 import ffi

from he.functional.ddh.group import MEMORY_BYTES, Points, combine, negated, pointer
from intnn.values.arrays import IntArray


def signed_digits(y: IntArray) -> tuple[IntArray, IntArray]:
    """The non-adjacent form of integers: bits p and n with y = p - n, of which no two neighbours are set.

    A third of the digits is not zero, of binary ones a half (Reitwiesner 1960): bit i of 3y is the sum of bits i and
    i - 1 of y and a carry, and the digit is what this sum does not share with bit i - 1.

    Args:
        y: int64, of magnitudes below 2^61.

    Returns:
        p and n, int64 of the shape of ``y``, at least 0.
    """
    half = y >> 1
    triple = y + half
    digits = half ^ triple
    return triple & digits, half & digits


class Combiner:
    """Sums of points times the elements of vectors y, for any points that there are as many of.

    A sum goes through the digits of all integers from the highest down: it is doubled, then points are added where the
    digit is 1 and their negatives where it is -1, in one call of the library. Which addresses are added is the same
    for all vectors of points, as these are copied to one place.

    Args:
        y: int64 [keys, length].
    """

    def __init__(self, y: IntArray) -> None:
        self._length = y.shape[1]
        # Points, their negatives, and two places for a running sum, of which one is read while the other is written.
        self._memory = np.empty((2 * self._length + 2, MEMORY_BYTES), np.uint8)
        self._plans = [self._planned(digits) for digits in np.concatenate(signed_digits(y), axis=1)]

    def _planned(self, digits: IntArray) -> list[tuple[int, Any, int]]:
        """For every digit: the place to write to, and the addresses of what is added; the running sum comes first."""
        place, plan = pointer(self._memory), []
        for step, bit in enumerate(reversed(range(int(digits.max()).bit_length()))):
            written, read = 2 * self._length + step % 2, 2 * self._length + 1 - step % 2
            added = [read, read, *np.flatnonzero(digits >> bit & 1).tolist()]
            plan.append((written, ffi.new("secp256k1_pubkey *[]", [place + i for i in added]), len(added)))
        return plan

    def sums(self, points: Points) -> Iterator[Points | None]:
        """The sums for one vector of points, in the order of the keys; None for infinity."""
        self._memory[: self._length] = points.memory
        self._memory[self._length : -2] = negated(points).memory
        place = pointer(self._memory)
        for plan in self._plans:
            finite, written = False, 0
            for written, terms, count in plan:
                skipped = 0 if finite else 2  # a running sum at infinity adds nothing
                finite = count > skipped and combine(place + written, terms + skipped, count - skipped)
            yield Points(self._memory[written : written + 1]) if finite else None
