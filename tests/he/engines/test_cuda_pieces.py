"""Copies through pinned memory, on a GPU that is made up, which reads as late as it may."""

import threading
from contextlib import contextmanager, suppress
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from he.engines.cuda import pieces
from he.engines.cuda.pieces import Pieces
from he.engines.rns.threads import Workers
from he.kernels.cuda import columns

SEEDS, LENGTHS = st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6)


class Lazy:
    """A stream that does nothing before somebody waits for it."""

    def __init__(self):
        self.waiting = []

    def until(self, end):
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
        def nothing():
            """Be where the stream is when this is called."""

        self._recorded = stream, nothing
        stream.waiting.append(nothing)

    def synchronize(self):
        stream, mark = self._recorded or (Lazy(), None)
        if mark in stream.waiting:
            stream.until(mark)


class Part:
    """A part of an array on the GPU."""

    def __init__(self, there):
        self.there = there

    def __len__(self):
        return len(self.there)

    def __getitem__(self, which):
        return Part(self.there[which])

    def copy_to_device(self, here, stream):
        assert here.flags.c_contiguous
        assert here.shape == self.there.shape
        stream.waiting.append(lambda: np.copyto(self.there, here))


@contextmanager
def pieces_of(words, size, threads=1, share=1 << 17):
    """Pieces of at most so many words on a GPU that is made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "event", Event)
        patch.setattr(cuda, "pinned_array", np.zeros)
        patch.setattr(columns, "PIECE_BYTES", 8 * words)
        patch.setattr(pieces, "_SHARE", share)
        yield Pieces(8 * size, threads)


def at_any_address(rng, lengths):
    """Arrays of random words that begin at any byte, as parts of messages do."""
    starts = rng.integers(8, size=len(lengths)).tolist()
    data = [bytearray(rng.bytes(8 * length + start)) for start, length in zip(starts, lengths, strict=True)]
    return [np.frombuffer(one, np.uint8)[start:].view(np.uint64) for start, one in zip(starts, data, strict=True)]


@settings(deadline=None, max_examples=60)
@given(SEEDS, LENGTHS, st.integers(1, 50), st.integers(1, 3))
def test_words_come_in_order_however_they_are_cut(seed, lengths, words, threads):
    """What lies behind them may change once they are on their way."""
    rng, stream, target = np.random.default_rng(seed), Lazy(), Part(np.zeros(sum(lengths), np.uint64))
    with pieces_of(words, max(1, sum(lengths)), threads, share=1) as through:
        parts = through.cut(target)
        assert max(map(len, parts), default=0) <= words
        for _ in range(2):
            sources = at_any_address(rng, lengths)
            expected = np.concatenate(sources)
            through.copy(sources, parts, stream)
            for one in sources:
                one[:] = 0
            stream.synchronize()
            assert np.array_equal(target.there, expected)


class Breaks:
    """Raises once, at this call of all that go through it, before or after what is called."""

    def __init__(self, number, before, error):
        self._number, self._before, self._error = number, before, error
        self._calls, self.broke = count(1), False

    def into(self, owner, name, patch):
        """Have calls of a function go through it."""
        call = getattr(owner, name)

        def called(*arguments, **more):
            breaks = next(self._calls) == self._number
            self.broke |= breaks
            if breaks and self._before:
                raise self._error
            result = call(*arguments, **more)
            if breaks:
                raise self._error
            return result

        patch.setattr(owner, name, called)


CALLS = (Part, "copy_to_device"), (Event, "record"), (Event, "synchronize"), (Lazy, "synchronize"), (pieces, "_fill")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the GPU was lost")])
def test_a_copy_that_breaks_off_anywhere_leaves_nothing_behind(threads, before, error):
    """Copies that are under way read what they were begun with, and the next ones give their own words."""
    rng, number, reached = np.random.default_rng(0), 0, True
    while reached:
        number += 1
        first, second = (at_any_address(rng, [9, 8, 10]) for _ in range(2))
        one, other, stream = Part(np.zeros(27, np.uint64)), Part(np.zeros(27, np.uint64)), Lazy()
        with pieces_of(4, 27, threads, share=1) as through:
            breaks = Breaks(number, before, error)
            with pytest.MonkeyPatch.context() as patch:
                for owner, name in CALLS:
                    breaks.into(owner, name, patch)
                with suppress(type(error)):
                    through.copy(first, through.cut(one), stream)
            reached = breaks.broke
            through.copy(second, through.cut(other), stream)
            stream.synchronize()
        expected = np.concatenate(first)
        done = one.there.nonzero()[0]
        assert np.array_equal(one.there[done], expected[done])
        assert np.array_equal(other.there, np.concatenate(second))
    assert number > 20


def test_no_more_copies_are_under_way_than_there_are_pieces():
    stream, target, most = Lazy(), Part(np.zeros(100, np.uint64)), []
    with pieces_of(7, 100) as through, pytest.MonkeyPatch.context() as patch:
        fill = pieces._fill
        patch.setattr(pieces, "_fill", lambda *given: (most.append(len(stream.waiting)), fill(*given)))
        through.copy([np.arange(100, dtype=np.uint64)], through.cut(target), stream)
    assert len(most) == 15
    assert max(most) == 2 * (columns.PIECES - 1)  # a copy and its event for each piece that is not filled


@pytest.mark.parametrize(
    ("size", "threads", "expected"), [(64, 9, {1}), (65, 9, {4}), (65, 3, {3}), (65, 1, {1}), (8, 9, {1})]
)
def test_threads_share_what_takes_several_pieces(monkeypatch, size, threads, expected):
    asked, share = set(), Workers.share
    monkeypatch.setattr(Workers, "share", lambda one, *given: (asked.add(one.threads), share(one, *given))[1])
    with pieces_of(64, size, threads, share=16) as through:
        through.copy([np.zeros(size, np.uint64)], through.cut(Part(np.zeros(size, np.uint64))), Lazy())
    assert asked == expected


def test_a_thread_that_an_interrupt_has_left_fills_no_piece_of_the_next_copy(monkeypatch):
    """A second Ctrl-C comes while the first one waits for a thread that fills a piece."""
    first, second = (at_any_address(np.random.default_rng(seed), [400]) for seed in range(2))
    one, other, stream, fill = Part(np.zeros(400, np.uint64)), Part(np.zeros(400, np.uint64)), Lazy(), pieces._fill
    slow, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def interrupted(*given):
        if threading.current_thread() is threading.main_thread():
            slow.wait()
            raise KeyboardInterrupt
        slow.set()
        may_end.wait()
        fill(*given)
        ended.set()

    def begun_by_both(workers, parts):
        workers.later(parts[1])
        parts[0]()

    def filled(*given):
        fill(*given)
        may_end.set()
        ended.wait()

    def no_join(_):
        raise KeyboardInterrupt

    with pieces_of(100, 400, 2, share=1) as through:
        monkeypatch.setattr(pieces, "_fill", interrupted)
        with monkeypatch.context() as patch:
            patch.setattr(Workers, "all", begun_by_both)
            patch.setattr(threading.Thread, "join", no_join)
            with pytest.raises(KeyboardInterrupt):
                through.copy(first, through.cut(one), stream)
        monkeypatch.setattr(pieces, "_fill", filled)
        threading.Timer(0.3, may_end.set).start()
        through.copy(second, through.cut(other), stream)
        stream.synchronize()
    assert np.array_equal(other.there, second[0])


class CudaDriverError(Exception):
    """What numba-cuda calls what its driver raises."""


def test_memory_that_cannot_be_pinned_is_a_warning(monkeypatch):
    def refused(*_):
        raise CudaDriverError("cuMemHostAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    given_, target, stream = np.arange(9, dtype=np.uint64), Part(np.zeros(9, np.uint64)), Lazy()
    monkeypatch.setattr(cuda, "event", Event)
    monkeypatch.setattr(cuda, "pinned_array", refused)
    with pytest.warns(RuntimeWarning, match="memory that is not pinned, which takes longer: cuMemHostAlloc results in"):
        through = Pieces(72, threads=1)
    through.copy([given_], through.cut(target), stream)
    stream.synchronize()
    assert np.array_equal(target.there, given_)


@pytest.mark.parametrize("words", [8, 10])
def test_other_numbers_of_words_are_refused_before_any_is_copied(words):
    target, stream = Part(np.zeros(9, np.uint64)), Lazy()
    with pieces_of(4, 9) as through, pytest.raises(ValueError, match=f"`sources` must have 9 words, got {words}"):
        through.copy([np.ones(words, np.uint64)], through.cut(target), stream)
    assert not stream.waiting


@pytest.mark.parametrize(
    ("size", "shape"),
    [(8, (1, 1)), (8 << 20, (1, 1 << 20)), ((8 << 20) + 8, (2, 1 << 20)), (1 << 30, (2, 1 << 20))],
)
def test_as_much_is_pinned_as_is_copied_and_two_pieces_at_most(size, shape):
    assert columns.pinned_shape(size) == shape
