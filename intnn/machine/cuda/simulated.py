"""The instructions of `intnn.machine.cuda.assembly` in plain Python, for Numba's simulator of a GPU.

Sums are Python ints: an accumulator that would wrap on a GPU cannot be stored here, and raises.
"""

import struct
import threading
from collections.abc import Callable
from operator import mul
from typing import Any

Four = tuple[int, int, int, int]


def _bytes_of(kind: str) -> Callable[[int], Four]:
    """A function from a word to its four integers of this kind."""
    code = {"s8": "<4b", "u8": "<4B"}[kind]
    return lambda word: struct.unpack(code, struct.pack("<i", word))


def dp4a(a_type: str, b_type: str) -> Callable[[int, int, int], int]:
    """A function (a, b, c) -> c + the dot product of four by four integers, each of type "s8" or "u8"."""
    a_bytes, b_bytes = _bytes_of(a_type), _bytes_of(b_type)
    return lambda a, b, c: int(c) + sum(map(mul, a_bytes(a), b_bytes(b)))


def mma(a_type: str, b_type: str) -> Callable[[Four, tuple[int, int], Four], Four]:
    """A warp's function (a, b, c) -> c + a b: a is 16 x 32, b is 32 x 8 integers "s8" or "u8", c is 16 x 8 int32."""
    a_bytes, b_bytes = _bytes_of(a_type), _bytes_of(b_type)

    def product(a: Four, b: tuple[int, int], c: Four) -> Four:
        thread: Any = threading.current_thread()
        warp, lane = divmod(thread.thread_id, 32)
        fragments = vars(thread._manager).setdefault("fragments", {})
        fragments[warp, lane] = [a_bytes(word) for word in a], [b_bytes(word) for word in b]
        thread.syncthreads()  # the simulator can only wait for the whole block; all its warps come by here
        group, place = divmod(lane, 4)

        def cell(half: int, column: int) -> int:
            total = 0
            for q in range(4):  # the four lanes that share a row of a, and a column of b
                row, col = fragments[warp, 4 * group + q][0], fragments[warp, 4 * column + q][1]
                total += sum(map(mul, row[half] + row[half + 2], col[0] + col[1]))
            return total

        sums = [cell(half, 2 * place + side) for half in (0, 1) for side in (0, 1)]
        thread.syncthreads()  # before the next fragments replace these
        return tuple(int(old) + new for old, new in zip(c, sums, strict=True))  # type: ignore[return-value]

    return product


def load4(words: Any, index: int) -> Four:
    """Read four words from ``index`` on, a multiple of four."""
    _require_aligned(index)
    return tuple(int(words[index + i]) for i in range(4))  # type: ignore[return-value]


def store4(words: Any, index: int, values: Four) -> None:
    """Write four words from ``index`` on, a multiple of four."""
    _require_aligned(index)
    for i in range(4):
        words[index + i] = values[i]


def copy4(shared: Any, to: int, source: Any, start: int, size: int) -> None:
    """Copy ``size`` bytes, 16 or 0, of four words to shared memory; the other bytes become zero."""
    store4(shared, to, load4(source, start) if size else (0, 0, 0, 0))


def commit() -> None:
    """Do nothing, since copies are made at once."""


def wait_for(pending: int) -> Any:  # noqa: ARG001
    """A function that does nothing, since copies are made at once."""
    return lambda: None


def _require_aligned(index: int) -> None:
    if index % 4:
        raise ValueError(f"`index` of an access to four words must be a multiple of four, got {index}")
