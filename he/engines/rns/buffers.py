"""Memory for values, kept for the next one: fresh pages cost the system as much time as filling them."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from typing import Any

import numpy as np

LINE = 64  # bytes of a cache line; rows begin with one


class Buffers:
    """Arrays of words whose memory comes back when nobody refers to them any more.

    Args:
        limit: Bytes that are kept at most; what comes back beyond is left to the system.
    """

    def __init__(self, limit: int = 1 << 28) -> None:
        self._limit, self._kept = limit, 0
        self._free: defaultdict[int, list[np.ndarray]] = defaultdict(list)

    def empty(self, *shape: int) -> np.ndarray:
        """An array uint64 of this shape; its contents are not defined. From any thread."""
        size = 8 * prod(shape)
        try:
            memory = self._free[size].pop()
            self._kept -= size
        except IndexError:
            memory = np.empty(size + LINE, np.uint8)
        return np.asarray(_Loan(self, memory, shape))

    def take_back(self, memory: np.ndarray) -> None:
        """Keep it for the next array of this size. What is counted may be off by a race, which does no harm."""
        size = memory.size - LINE
        if self._kept + size <= self._limit:
            self._kept += size
            self._free[size].append(memory)


class _Loan:
    """What an array and all views of it refer to."""

    def __init__(self, buffers: Buffers, memory: np.ndarray, shape: tuple[int, ...]) -> None:
        self._buffers, self._memory = buffers, memory
        start = -(-memory.ctypes.data // LINE) * LINE
        self.__array_interface__: dict[str, Any] = {
            "shape": shape,
            "typestr": "<u8",
            "data": (start, False),
            "version": 3,
        }

    def __del__(self) -> None:
        self._buffers.take_back(self._memory)
