"""Copies to a GPU through pieces of pinned memory: while some are copied, others are filled.

The GPU reads memory by itself only where the driver has pinned it. What lies elsewhere the driver copies to pinned
memory of its own first, on one thread, at a fraction of the link's speed; and to pin memory takes longer than to copy
it once. So a session pins some MiB when it is made, and everything goes through these.

Every thread has pieces of its own, and a part of the target is filled and sent off by the one that takes it. So threads
wait for each other only at the end; where the parts of one piece were shared out, they did for every piece. Pieces stay
in the processor's caches, so that filling them takes little of the memory's bandwidth; and they are small, so that
where one thread fills them all, a copy is under way soon, and little is left to copy when the last one is full.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, cycle
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from he.engines.rns.threads import Task, Workers
from he.kernels.cuda.columns import pinned_shape
from he.kernels.cuda.tables import DeviceArray
from intnn.machine.cuda.device import gpu_in_use
from intnn.machine.cuda.pinned import address, pinned, start_copy

_SHARE = 4 << 20  # bytes for a thread, at least: fewer are copied sooner than it starts
_LONG = 16 << 20  # bytes, at least, that are copied for so long that the caller's thread had better do something else


class Part(NamedTuple):
    """A part of a target, no longer than a piece.

    Attributes:
        first: the number of its first word in the target.
        words: how many words it has.
        there: its address.
    """

    first: int
    words: int
    there: Any


class Piece(NamedTuple):
    """A piece of pinned memory.

    Attributes:
        memory: uint64 [words].
        here: its address.
        copied: an event after the last copy from it.
    """

    memory: np.ndarray
    here: Any
    copied: Any


class Pieces:
    """A session's pinned memory, for the GPU in use when it is made; one target after the other is filled through it.

    Where the driver pins no more memory, other memory stands in its place (`intnn.machine.cuda.pinned`).

    Args:
        size: the bytes that are copied at once, a multiple of 8: so many are pinned, or all pieces if that is less.
            More may be copied, and take more turns.
        threads: the number of threads that may fill pieces, at least 1, with the caller's. There is one for every 4 MiB
            of the size, and for every two pieces; so what is small is copied by the caller's alone. From 16 MiB on,
            one more of them is there to do something else meanwhile.

    Attributes:
        threads: how many fill pieces.
        long: whether it gains time to do something else while so much is copied: there is more than one thread, and
            there are 16 MiB at least.
    """

    def __init__(self, size: int, threads: int) -> None:
        shape = pinned_shape(size)
        self._pieces = [Piece(memory, address(memory), cuda.event()) for memory in pinned(shape, np.uint64)]
        self._gpu = gpu_in_use()
        self.threads = max(1, min(threads, len(self._pieces) // 2, size // _SHARE))
        self.long = threads > 1 and size >= _LONG
        self._workers = Workers(min(threads, self.threads + self.long))

    def cut(self, target: DeviceArray) -> list[Part]:
        """Return a target, uint64 [words], as the parts that `copy` takes, each no longer than a piece.

        The target must outlive them.
        """
        most, count = len(self._pieces[0].memory), len(target)
        return [Part(first, min(most, count - first), address(target, first)) for first in range(0, count, most)]

    def copy(
        self, sources: Sequence[np.ndarray], parts: Sequence[Part], stream: Any, meanwhile: Task | None = None
    ) -> None:
        """Fill a target with the words of all sources, one behind the other.

        Sources have been read when this returns, and what follows on the stream finds the target filled. A piece is
        filled only after the stream's last copy from it, also of a call that failed or was interrupted anywhere. Where
        this raises, other threads are waited for first, and so nobody reads sources any more.

        Args:
            sources: uint64 [words] each, in the host's memory, at any address.
            parts: what `cut` returns, which have as many words as all sources.
            stream: on which all copies from these pieces are, in any order; a stream of Numba's, not 0.
            meanwhile: what the caller's thread does while others begin to copy, if there are others. What it raises is
                raised, and what has not been copied by then is not.

        Raises:
            ValueError: if there are more words or fewer.
        """
        ends = list(accumulate(map(len, sources)))
        words, given = sum(part.words for part in parts), ends[-1] if ends else 0
        if words != given:
            raise ValueError(f"`sources` must have {words} words, got {given}")
        left = deque(parts)

        def through(pieces: Sequence[Piece]) -> None:
            """Copy parts that nobody has taken, through these pieces in turn, until none is left."""
            with self._gpu:
                for piece in cycle(pieces):
                    try:
                        part = left.popleft()
                    except IndexError:
                        return
                    piece.copied.synchronize()
                    _fill(piece.memory[: part.words], sources, ends, part.first)
                    start_copy(part.there, piece.here, 8 * part.words, stream)
                    piece.copied.record(stream)

        with self._workers as workers:  # where a call was interrupted, this waits for threads that it has left,
            stream.synchronize()  # and this then for copies that no event stands for
            try:
                each = [partial(through, self._pieces[number :: self.threads]) for number in range(self.threads)]
                workers.all(each, meanwhile)
            finally:
                left.clear()  # so that threads end soon, which are waited for here


def _fill(piece: np.ndarray, sources: Sequence[np.ndarray], ends: Sequence[int], first: int) -> None:
    """Fill a piece, whose first word is this one of sources that end at these.

    Other threads of Python run meanwhile: numpy copies large arrays without the interpreter's lock.
    """
    number, start = bisect_right(ends, first), 0
    while start < len(piece):
        source = sources[number][first + start - ends[number] :]  # counted from its end
        until = min(start + len(source), len(piece))
        piece[start:until] = source[: until - start]
        number, start = number + 1, until
