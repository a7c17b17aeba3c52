"""Copies through pinned memory, on a GPU that is made up, which reads as late as it may."""

import sys
import threading
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from he.engines.cuda import pieces
from he.engines.cuda.pieces import Pieces
from he.engines.cuda.requests import _joined
from he.engines.rns.threads import Workers
from he.kernels.cuda import columns
from tests.he.engines.made_up_gpu import Event, Lazy, at_any_address, pieces_of, start_copy

SEEDS, LENGTHS = st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6)


@settings(deadline=None, max_examples=100)
@given(SEEDS, LENGTHS, st.integers(1, 50), st.integers(1, 4), st.integers(1, 8))
def test_words_come_in_order_however_they_are_cut(seed, lengths, words, threads, count):
    """What lies behind them may change once they are on their way."""
    rng, stream, target = np.random.default_rng(seed), Lazy(), np.zeros(sum(lengths), np.uint64)
    with pieces_of(words, max(1, sum(lengths)), threads, share=1, count=count) as through:
        parts = through.cut(target)
        assert max((part.words for part in parts), default=0) <= words
        for _ in range(2):
            sources = at_any_address(rng, lengths)
            expected = np.concatenate(sources)
            through.copy(sources, parts, stream)
            for one in sources:
                one[:] = 0
            stream.synchronize()
            assert np.array_equal(target, expected)


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


CALLS = (pieces, "start_copy"), (Event, "record"), (Event, "synchronize"), (Lazy, "synchronize"), (pieces, "_fill")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the GPU was lost")])
def test_a_copy_that_breaks_off_anywhere_leaves_nothing_behind(threads, before, error):
    """Copies that are under way read what they were begun with, and the next ones give their own words."""
    rng, number, reached = np.random.default_rng(0), 0, True
    while reached:
        number += 1
        first, second = (at_any_address(rng, [9, 8, 10]) for _ in range(2))
        one, other, stream = np.zeros(27, np.uint64), np.zeros(27, np.uint64), Lazy()
        with pieces_of(2, 27, threads, share=1, count=4) as through:
            assert through.threads == threads
            breaks = Breaks(number, before, error)
            with pytest.MonkeyPatch.context() as patch:
                for owner, name in CALLS:
                    breaks.into(owner, name, patch)
                raised = False
                try:
                    through.copy(first, through.cut(one), stream)
                except type(error):
                    raised = True
            reached = breaks.broke
            assert raised == reached
            through.copy(second, through.cut(other), stream)
            stream.synchronize()
        expected = np.concatenate(first)
        done = one.nonzero()[0]
        assert np.array_equal(one[done], expected[done])
        assert np.array_equal(other, np.concatenate(second))
    assert number > 50


def test_no_more_copies_are_under_way_than_there_are_pieces():
    stream, target, most = Lazy(), np.zeros(100, np.uint64), []
    with pieces_of(7, 100, count=3) as through, pytest.MonkeyPatch.context() as patch:
        fill = pieces._fill
        patch.setattr(pieces, "_fill", lambda *given: (most.append(len(stream.waiting)), fill(*given)))
        through.copy([np.arange(100, dtype=np.uint64)], through.cut(target), stream)
    assert len(most) == 15
    assert max(most) == 2 * (3 - 1)  # a copy and its event for each piece that is not filled


@pytest.mark.parametrize(
    ("size", "threads", "expected"),
    [(1024, 9, 8), (1024, 3, 3), (1024, 1, 1), (512, 9, 4), (300, 9, 2), (127, 9, 1), (1, 9, 1), (1 << 20, 99, 8)],
)
def test_threads_are_as_many_as_are_sooner_done(size, threads, expected):
    """One for every 128 words, and for two pieces; and all of them copy, each with the GPU in use."""
    together, waited = threading.Barrier(expected), set()

    def begun(*given):
        if threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            together.wait(60)
        start_copy(*given)

    with pieces_of(64, size, threads, share=8 * 128) as through, pytest.MonkeyPatch.context() as patch:
        assert through.threads == expected
        patch.setattr(pieces, "start_copy", begun)
        through.copy([np.zeros(size, np.uint64)], through.cut(np.zeros(size, np.uint64)), Lazy())
    assert len(waited) == expected


def test_other_threads_end_with_the_one_that_fails():
    """They take no further part."""
    filled, failed, fill = [], threading.Event(), pieces._fill

    def filling(*given):
        if threading.current_thread() is threading.main_thread():
            failed.set()
            raise RuntimeError("the GPU was lost")
        failed.wait()
        fill(*given)
        filled.append(given)

    with pieces_of(1, 100, 2, share=1) as through, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_fill", filling)
        patch.setattr(Workers, "all", lambda workers, parts, _: (workers.later(parts[1]), parts[0]()))
        with pytest.raises(RuntimeError, match="the GPU was lost"):
            through.copy([np.zeros(100, np.uint64)], through.cut(np.zeros(100, np.uint64)), Lazy())
    assert len(filled) < 50


@pytest.mark.parametrize("fails", [True, False])
def test_a_thread_that_an_interrupt_has_left_fills_no_piece_of_the_next_copy(monkeypatch, fails):
    """A second Ctrl-C comes while the first one waits for a thread that fills a piece, and that may fail later."""
    first, second = (at_any_address(np.random.default_rng(seed), [800]) for seed in range(2))
    one, other, stream, fill = np.zeros(800, np.uint64), np.zeros(800, np.uint64), Lazy(), pieces._fill
    slow, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    left, record = [], Event.record

    def interrupted(piece, *given):
        if threading.current_thread() is threading.main_thread():
            slow.wait()
            raise KeyboardInterrupt
        left[:] = threading.current_thread(), piece
        slow.set()
        may_end.wait()
        fill(piece, *given)

    def begun_by_both(workers, parts, _):
        workers.later(parts[1])
        parts[0]()

    def recorded(event, stream):
        is_left = threading.current_thread() is left[0]
        if not (fails and is_left):
            record(event, stream)
        if is_left:
            ended.set()
        if fails and is_left:
            raise RuntimeError("the GPU was lost")

    def filled(piece, *given):
        fill(piece, *given)
        if np.shares_memory(piece, left[1]):
            may_end.set()
            ended.wait(5)

    def interrupted_too(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(Event, "record", recorded)
    with pieces_of(100, 800, 2, share=1, count=4) as through:
        monkeypatch.setattr(pieces, "_fill", interrupted)
        with monkeypatch.context() as patch:
            patch.setattr(Workers, "all", begun_by_both)
            patch.setattr(Workers, "__exit__", interrupted_too)
            with pytest.raises(KeyboardInterrupt):
                through.copy(first, through.cut(one), stream)
        monkeypatch.setattr(pieces, "_fill", filled)
        monkeypatch.setattr(
            Workers, "all", lambda _, parts, __: [part() for part in parts[::-1]]
        )  # that thread's pieces first
        threading.Timer(0.3, may_end.set).start()
        through.copy(second, through.cut(other), stream)
        stream.synchronize()
    done = one.nonzero()[0]
    assert len(done) == 100
    assert np.array_equal(one[done], first[0][done])
    assert np.array_equal(other, second[0])


class CudaDriverError(Exception):
    """What numba-cuda calls what its driver raises."""


def test_memory_that_cannot_be_pinned_is_a_warning(monkeypatch):
    def refused(*_):
        raise CudaDriverError("cuMemHostAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    given_, target, stream = np.arange(9, dtype=np.uint64), np.zeros(9, np.uint64), Lazy()
    with pieces_of(4, 9):
        monkeypatch.setattr(cuda, "pinned_array", refused)
        with pytest.warns(
            RuntimeWarning, match="memory that is not pinned, which takes longer: cuMemHostAlloc results in"
        ):
            through = Pieces(72, threads=1)
        through.copy([given_], through.cut(target), stream)
    stream.synchronize()
    assert np.array_equal(target, given_)


@pytest.mark.parametrize("words", [8, 10])
def test_other_numbers_of_words_are_refused_before_any_is_copied(words):
    target, stream = np.zeros(9, np.uint64), Lazy()
    with pieces_of(4, 9) as through, pytest.raises(ValueError, match=f"`sources` must have 9 words, got {words}"):
        through.copy([np.ones(words, np.uint64)], through.cut(target), stream)
    assert not stream.waiting


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (8, (1, 1)),
        (2 * MIB, (1, MIB // 4)),
        (2 * MIB + 8, (2, MIB // 4)),
        (16 * MIB, (8, MIB // 4)),
        (1 << 30, (8, MIB // 4)),
    ],
)
def test_as_much_is_pinned_as_is_copied_and_16_mib_at_most(size, shape):
    assert columns.pinned_shape(size) == shape


@settings(deadline=None)
@given(st.data())
def test_ciphertexts_that_lie_one_behind_the_other_are_one_array(data):
    """Views of two buffers with the same bytes, in any order, with gaps and more than once."""
    size, rng = 8 * data.draw(st.integers(1, 3)), np.random.default_rng(0)
    content = rng.bytes(100)
    buffers = memoryview(content), memoryview(bytearray(content))
    places = data.draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=9))
    views = [buffers[which][3 + size * at % 72 :][:size] for which, at in places]
    joined = _joined(views)
    assert b"".join(one.tobytes() for one in joined) == b"".join(views)


def test_ciphertexts_of_a_message_are_one_array():
    view = memoryview(bytes(range(100)))
    views = [view[3 + 24 * i :][:24] for i in range(4)]
    assert [len(one) for one in _joined(views)] == [12]
    assert [len(one) for one in _joined([*views[2:], views[3], *views[:2]])] == [6, 3, 6]
    bytes_ = np.arange(48, dtype=np.uint8)
    assert [len(one) for one in _joined([memoryview(bytes_[:24]), memoryview(bytes_[24:])])] == [3, 3]  # of two buffers
    assert not _joined([])
