"""A GPU that is made up, which reads as late as it may: streams, events, and copies through pieces of memory."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest
from numba import cuda

from he.engines.cuda import pieces
from he.engines.cuda.pieces import Pieces
from he.kernels.cuda import columns

MADE_UP = threading.RLock()  # streams do one thing after the other, whoever asks


class Lazy:
    """A stream that does nothing before somebody waits for it."""

    def __init__(self):
        self.waiting = []

    def until(self, end):
        with MADE_UP:
            while self.waiting and self.waiting[0] is not end:
                self.waiting.pop(0)()
            del self.waiting[:1]

    def synchronize(self):
        self.until(None)


class Event:
    """An event on such streams."""

    def __init__(self):
        self._recorded = None

    def record(self, stream):
        assert Gpu.used.by_this_thread

        def nothing():
            """Be where the stream is when this is called."""

        with MADE_UP:
            self._recorded = stream, nothing
            stream.waiting.append(nothing)

    def synchronize(self):
        assert Gpu.used.by_this_thread
        with MADE_UP:
            stream, mark = self._recorded or (Lazy(), None)
            if mark in stream.waiting:
                stream.until(mark)


class Gpu:
    """What a thread enters to use the GPU."""

    used = threading.local()

    def __enter__(self):
        self.used.by_this_thread = True

    def __exit__(self, *_):
        self.used.by_this_thread = False


def start_copy(there, here, size, stream):
    """Copy from one array to the beginning of another one as late as the stream may."""
    assert Gpu.used.by_this_thread
    words = size // 8
    with MADE_UP:
        stream.waiting.append(lambda: np.copyto(there[:words], here[:words]))


@contextmanager
def pieces_of(words, size, threads=1, share=4 << 20, count=16, long=16 << 20):
    """At most so many pieces of at most so many words on a GPU that is made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "event", Event)
        patch.setattr(cuda, "pinned_array", np.zeros)
        patch.setattr(columns, "PIECES", count)
        patch.setattr(columns, "PIECE_BYTES", 8 * words)
        patch.setattr(pieces, "_SHARE", share)
        patch.setattr(pieces, "_LONG", long)
        patch.setattr(pieces, "gpu_in_use", Gpu)
        patch.setattr(pieces, "address", lambda array, first=0: array[first:])
        patch.setattr(pieces, "start_copy", start_copy)
        yield Pieces(8 * size, threads)


def at_any_address(rng, lengths):
    """Arrays of random words that begin at any byte, as parts of messages do."""
    starts = rng.integers(8, size=len(lengths)).tolist()
    data = [bytearray(rng.bytes(8 * length + start)) for start, length in zip(starts, lengths, strict=True)]
    return [np.frombuffer(one, np.uint8)[start:].view(np.uint64) for start, one in zip(starts, data, strict=True)]
