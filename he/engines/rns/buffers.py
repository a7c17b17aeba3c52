"""Memory of values that is used again: fresh pages cost the system as much time as filling them."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from typing import Any

import numpy as np

from intnn.machine.simd import LINE


class Buffers:
    """Arrays of words whose memory comes back once no reference to them is left. All methods are safe for threads.

    Args:
        limit: the most bytes that are kept; memory beyond is freed when it comes back.
    """

    def __init__(self, limit: int = 1 << 28) -> None:
        self._limit, self._kept = limit, 0
        self._free: defaultdict[int, list[np.ndarray]] = defaultdict(list)

    def empty(self, *shape: int) -> np.ndarray:
        """Return an array uint64 of this shape, which begins at a cache's line; its contents are undefined."""
        size = 8 * prod(shape)
        try:
            memory = self._free[size].pop()
            self._kept -= size
        except IndexError:
            memory = np.empty(size + LINE, np.uint8)
        return np.asarray(_Loan(self, memory, shape))

    def take_back(self, memory: np.ndarray) -> None:
        """Keep memory for the next array of its size. A race may miscount the bytes kept, which does no harm."""
        size = memory.size - LINE
        if self._kept + size <= self._limit:
            self._kept += size
            self._free[size].append(memory)


class _Loan:
    """The owner of an array's memory, to which the array and all its views refer."""

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
