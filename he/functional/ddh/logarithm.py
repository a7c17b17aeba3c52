"""Small discrete logarithms, by baby and giant steps (Shanks 1971) in both directions from zero."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from coincurve._libsecp256k1 import ffi

from he.functional.ddh.group import MEMORY_BYTES, POINT_BYTES, Points, combine, multiples, pointer, scalar, serialise
from he.functional.errors import MismatchError

#: The largest bound: that there is no logarithm within it is noticed after 2^14 giant steps, some 40 ms.
MAX_BOUND = 1 << 32

_EVEN = 2  # how the compressed form of a point begins whose second coordinate is even


class _Steps(NamedTuple):
    """What searches within one bound have in common.

    Attributes:
        babies: By the first coordinate of a point and its negative: z of the one whose second coordinate is even.
        leaps: What is added to a point to look beyond the babies: giants of both signs, the shortest first.
        giants: How much further each leap looks.
    """

    babies: dict[bytes, int]
    leaps: Points
    giants: list[int]


def logarithm(point: Points | None, bound: int) -> int:
    """The integer z, at most the bound in magnitude, with z times the generator equal to the point; 0 for infinity.

    Points are compared as a whole, and no two integers within the bound have the same: what is found is right.

    Args:
        point: One point.
        bound: The largest magnitude that z may have, in [1, 2^32].

    Raises:
        MismatchError: There is no such z.
    """
    found = 0 if point is None else _searched(point, _steps(bound))
    if found is None or abs(found) > bound:
        raise MismatchError(
            f"a product is beyond {bound}, the largest that can be: a key or ciphertext is damaged or forged"
        )
    return found


def _searched(point: Points, steps: _Steps) -> int | None:
    """The logarithm of a point, if it is within the bound or a little more."""
    start, moved = pointer(point.memory), ffi.new("secp256k1_pubkey *", pointer(point.memory)[0])
    leap, compressed = pointer(steps.leaps.memory), ffi.new("unsigned char[]", POINT_BYTES)
    size = ffi.new("size_t *", POINT_BYTES)
    for i, giant in enumerate(steps.giants):
        if i and not combine(moved, [start, leap + i - 1], 2):
            return giant
        serialise(compressed, size, moved)
        baby = steps.babies.get(ffi.buffer(compressed)[1:])
        if baby is not None:
            return giant + (baby if compressed[0] == _EVEN else -baby)
    return None


@lru_cache(maxsize=4)
def _steps(bound: int) -> _Steps:
    """Many babies: most products are far below the bound, and the steps are made once."""
    count = 4 * math.isqrt(bound)
    memory = np.empty((count, MEMORY_BYTES), np.uint8)
    memory[0] = multiples([scalar(1)]).memory[0]
    place = pointer(memory)
    for i in range(1, count):
        combine(place + i, [place + i - 1, place], 2)
    compressed = Points(memory).to_bytes()
    babies = {}
    for i in range(count):
        point = compressed[POINT_BYTES * i : POINT_BYTES * (i + 1)]
        babies[point[1:]] = i + 1 if point[0] == _EVEN else -i - 1
    giant = 2 * count + 1
    giants = [sign * giant * k for k in range(1, (bound + count) // giant + 1) for sign in (1, -1)]
    return _Steps(babies, multiples([scalar(-z) for z in giants]), [0, *giants])
