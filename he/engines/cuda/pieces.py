"""Copies to a GPU through pieces of pinned memory, which take turns: while one is copied, another is filled.

The GPU reads memory by itself only where the driver has pinned it. What lies elsewhere the driver copies to pinned
memory of its own first, on one thread, at a fraction of the link's speed; and to pin memory takes longer than to copy
it once. So a session pins a few MiB when it is made, and everything goes through these.

A link of 64 or 32 GB/s takes 0.13 or 0.26 ms for a piece of 8 MiB: several times as long as the calls that start its
copy. And two pieces stay in the processor's last cache, so that filling them takes little of the memory's bandwidth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from numba import cuda

from he.engines.rns.threads import Workers
from he.kernels.cuda.columns import pinned_shape
from he.kernels.cuda.transform import DeviceArray
from intnn.machine.cuda.pinned import pinned

_SHARE = 1 << 17  # words of a piece for a thread, at least: fewer are filled sooner than it wakes


class Pieces:
    """A session's pinned memory; one copy after the other goes through it.

    Where the driver pins no more memory, other memory stands in its place (`intnn.machine.cuda.pinned`).

    Args:
        size: the bytes that are copied at once, a multiple of 8: so many are pinned, or all pieces if that is less.
            More may be copied, and take more turns.
        threads: the number of threads that fill a piece, at least 1, with the caller's; less than 1 MiB takes no thread
            of its own, and what fits one piece takes the caller's alone.
    """

    def __init__(self, size: int, threads: int) -> None:
        count, words = shape = pinned_shape(size)
        self._pieces = pinned(shape, np.uint64)
        self._copied = [cuda.event() for _ in range(count)]
        self._workers, self._alone = Workers(max(1, min(threads, words // _SHARE))), Workers(1)

    def cut(self, target: DeviceArray) -> list[DeviceArray]:
        """Return a target, uint64 [words], as the parts that `copy` takes, each no longer than a piece."""
        words = self._pieces.shape[1]
        return [target[first : first + words] for first in range(0, len(target), words)]

    def copy(self, sources: Sequence[np.ndarray], parts: Sequence[DeviceArray], stream: Any) -> None:
        """Fill a target with the words of all sources, one behind the other.

        Sources have been read when this returns, and what follows on the stream finds the target filled. A piece is
        filled only after the stream's last copy from it, also of a call that failed or was interrupted anywhere.

        Args:
            sources: uint64 [words] each, in the host's memory, at any address.
            parts: what `cut` returns, which have as many words as all sources.
            stream: on which the copies follow each other, and all others from these pieces; a stream of Numba's, not 0.

        Raises:
            ValueError: if there are more words or fewer.
        """
        ends = list(accumulate(map(len, sources)))
        if sum(map(len, parts)) != sum(map(len, sources)):
            raise ValueError(f"`sources` must have {sum(map(len, parts))} words, got {sum(map(len, sources))}")
        stream.synchronize()  # a call that was interrupted may have left copies that no event stands for,
        self._workers.end()  # and threads that fill a piece
        first = 0
        with self._workers if len(parts) > 1 else self._alone as workers:
            for number, part in enumerate(parts):
                turn = number % len(self._pieces)
                piece = self._pieces[turn, : len(part)]
                self._copied[turn].synchronize()
                workers.share(len(part), partial(_fill, piece, sources, ends, first))
                part.copy_to_device(piece, stream=stream)
                self._copied[turn].record(stream)
                first += len(part)


def _fill(
    piece: np.ndarray, sources: Sequence[np.ndarray], ends: Sequence[int], first: int, start: int, stop: int
) -> None:
    """Copy words to a part of a piece, whose first word is this one of sources that end at these.

    Other threads of Python run meanwhile: numpy copies large arrays without the interpreter's lock.
    """
    number = bisect_right(ends, first + start)
    while start < stop:
        source = sources[number][first + start - ends[number] :]  # counted from its end
        until = min(start + len(source), stop)
        piece[start:until] = source[: until - start]
        number, start = number + 1, until
