"""Memory of values that is used again: fresh pages cost the system as much time as filling them."""

from __future__ import annotations

from collections import defaultdict, deque
from math import prod
from typing import Any
from weakref import ref

import numpy as np

from intnn.machine.simd import LINE


class Buffers:
    """Arrays of words whose memory comes back once no reference to them is left. All methods are safe for threads.

    Args:
        limit: the most bytes that are kept for later; memory beyond is freed when another array is asked for.
    """

    def __init__(self, limit: int = 1 << 28) -> None:
        self._limit = limit
        self._back: deque[_Memory] = deque()  # since an array was asked for
        self._free: defaultdict[int, list[np.ndarray]] = defaultdict(list)

    def empty(self, *shape: int) -> np.ndarray:
        """Return an array uint64 of this shape, which begins at a cache's line; its contents are undefined."""
        self._keep()
        size = 8 * prod(shape)
        try:
            memory = self._free[size].pop()
        except IndexError:
            memory = np.empty(size + LINE, np.uint8)
        return np.asarray(_Loan(memory, shape, self._back))

    def _keep(self) -> None:
        """Keep what has come back, as far as the limit allows."""
        while self._back:
            try:
                memory = self._back.popleft().memory
            except IndexError:  # another thread was faster
                return
            except AttributeError:  # an interrupt came before it was lent
                continue
            size = memory.size - LINE
            if size + sum(each * len(free) for each, free in [*self._free.items()]) <= self._limit:
                self._free[size].append(memory)


class _Memory(ref["_Loan"]):
    """Memory that is lent; it comes back as the argument of what is called at the loan's end."""

    __slots__ = ("memory",)
    memory: np.ndarray


class _Loan:
    """The owner of an array's memory, to which the array and all its views refer.

    At its end nothing runs but the deque's own `append`: in a `__del__` of Python's, an interrupt may come, which
    Python then prints and forgets, and with it the memory.
    """

    __slots__ = ("__array_interface__", "__weakref__", "_memory")

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], back: deque[_Memory]) -> None:
        start = -(-memory.ctypes.data // LINE) * LINE
        self.__array_interface__: dict[str, Any] = {
            "shape": shape,
            "typestr": "<u8",
            "data": (start, False),
            "version": 3,
        }
        self._memory = _Memory(self, back.append)
        self._memory.memory = memory
