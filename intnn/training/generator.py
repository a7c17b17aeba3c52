"""A counter-based generator of integers: every draw is a function of a seed and a position, not of what came before.

The bits are therefore the same on every backend, in any order of evaluation and on any number of threads, and a
checkpoint needs no generator state. The mixing function is the 32-bit finaliser "lowbias32" (C. Wellons, "Prospecting
for Hash Functions", 2018), applied twice under two keys (the construction of Salmon et al., "Parallel Random Numbers:
As Easy as 1, 2, 3", SC 2011, with a lighter bijection).
"""

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9

# The uses of draws. A use is the first word of its path, so that no two uses share a stream.
WEIGHTS, ORDER, CHANGES, ROUNDING, REPEATS, FEATURES = range(6)

Key = tuple[int, int]


def mix(x: int) -> int:
    """A bijection of [0, 2**32) whose output bits each depend on every input bit."""
    x ^= x >> 16
    x = x * 0x7FEB352D & MASK
    x ^= x >> 15
    x = x * 0x846CA68B & MASK
    return x ^ x >> 16


def key(seed: int, *path: int) -> Key:
    """The two 32-bit keys of a stream, by a seed in [0, 2**64) and a path of a few integers in [0, 2**32)."""
    words = (seed & MASK, seed >> 32, *path)
    first = second = 0
    for word in words:
        first = mix((first + word + GOLDEN) & MASK)
        second = mix(second ^ first ^ word)
    return first, second


def draw(stream: Key, position: int) -> int:
    """The integer in [0, 2**32) at ``position`` in [0, 2**32) of a stream."""
    return mix((mix(position ^ stream[0]) + stream[1]) & MASK)


def draws(stream: Key, count: int) -> NDArray[np.int64]:
    """The first ``count`` integers of a stream, which are those of `draw` at 0, 1, ..."""
    first, second = (np.uint32(word) for word in stream)
    return _mix(_mix(np.arange(count, dtype=np.uint32) ^ first) + second).astype(np.int64)


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """`mix` on uint32 arrays, which wrap as wanted."""
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)
