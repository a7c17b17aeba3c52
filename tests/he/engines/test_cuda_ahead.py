"""Requests that are copied while they are verified, on a GPU that is made up, which reads as late as it may."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from he.engines.cuda.device import Board
from he.engines.cuda.engine import CudaEvaluator
from he.engines.cuda.pieces import Pieces
from he.engines.cuda.requests import Requests
from he.engines.rns.threads import Workers
from he.formats.messages import MessageError
from intnn.machine.cuda.device import DeviceError
from tests.he.engines import made_up_gpu
from tests.he.engines.made_up_gpu import Gpu, Lazy, pieces_of
from tests.interrupts import interrupted_at

WORDS, COUNT = 5, 6  # of a ciphertext, and of a request's
SIZE = 8 * WORDS
DAMAGED = MessageError("the digest does not match")


class Copying(Requests):
    """Requests of which nothing is made but copies."""

    def __init__(self, through, target):
        self._form, self._pieces, self._parts = SimpleNamespace(bytes=SIZE), through, through.cut(target)
        self._packed = target[:-1].reshape(COUNT, WORDS)

    def verdict(self, stream):
        stream.synchronize()
        return np.zeros(1, np.uint64)


class Answering(Board):
    """A board whose kernel answers a request with the bytes that it finds."""

    def __init__(self, through):
        self.memory, self.launched = np.zeros(COUNT * WORDS + 1, np.uint64), 0
        self._lock, self._stream, self._form = threading.Lock(), Lazy(), SimpleNamespace(bytes=SIZE)
        self._resident, self._pieces = SimpleNamespace(gpu=Gpu()), through
        self._requests, self.reads_ahead = Copying(through, self.memory), through.long

    def _start_on_bytes(self, stream):
        self.launched += 1

    def _copied_out(self):
        self._stream.synchronize()
        return [self.memory[:-1].copy()]


class Evaluating(CudaEvaluator, instead="make it again"):
    """An evaluator on such a board, whose answer is all bytes of a request."""

    def __init__(self, board):
        super().__init__(
            SimpleNamespace(circuit=SimpleNamespace(program=SimpleNamespace(inputs=COUNT * [0]))), None, board, 2
        )

    def _written(self, results):
        return [one.tobytes() for one in results]


@contextmanager
def evaluator_of(words=4, threads=3, count=4):
    with pieces_of(words, COUNT * WORDS + 1, threads, share=1, count=count, long=8) as through:
        yield Evaluating(Answering(through))


def message_of(rng, memory=bytes):
    """A message with a request's ciphertexts, at any address."""
    start = int(rng.integers(1, 9))
    data = memory(rng.bytes(start + COUNT * SIZE + 9))
    return data, [memoryview(data)[start + SIZE * i :][:SIZE].toreadonly() for i in range(COUNT)]


def nothing():
    """Find nothing wrong."""


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 5), st.integers(1, 8))
def test_answers_are_those_to_what_was_verified(seed, words, threads, count):
    rng, calls = np.random.default_rng(seed), []
    with evaluator_of(words, threads, count) as evaluator:
        board = evaluator.board
        for number in range(3):
            _, parts = message_of(rng)

            def verify(number=number):
                assert threading.current_thread() is threading.main_thread()
                assert board.launched == number
                calls.append(number)

            assert evaluator.evaluate_ahead(parts, verify) == [b"".join(parts)]
            assert calls == list(range(number + 1))


def test_copies_are_under_way_while_a_request_is_verified(monkeypatch):
    begun, verifying, start_copy = threading.Event(), threading.Event(), made_up_gpu.start_copy

    def started(*arguments):
        begun.set()
        assert verifying.wait(60)
        start_copy(*arguments)

    def verify():
        verifying.set()
        assert begun.wait(60)

    with evaluator_of() as evaluator:
        monkeypatch.setattr("he.engines.cuda.pieces.start_copy", started)
        _, parts = message_of(np.random.default_rng(0))
        assert evaluator.evaluate_ahead(parts, verify) == [b"".join(parts)]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(2, 5))
def test_of_a_request_that_is_refused_nothing_is_made_and_nothing_read_later(seed, copied, threads):
    """However much of it has been copied by then."""
    rng, filled, start_copy = np.random.default_rng(seed), threading.Semaphore(0), made_up_gpu.start_copy

    def started(*arguments):
        start_copy(*arguments)
        filled.release()

    def verify():
        for _ in range(copied):
            assert filled.acquire(timeout=60)
        raise DAMAGED

    with evaluator_of(threads=threads) as evaluator, pytest.MonkeyPatch.context() as patch:
        patch.setattr("he.engines.cuda.pieces.start_copy", started)
        data, parts = message_of(rng, bytearray)
        before = b"".join(parts)
        with pytest.raises(MessageError) as caught:
            evaluator.evaluate_ahead(parts, verify)
        data[:] = bytes(255 for _ in data)
        board = evaluator.board
        board._stream.synchronize()
        found = board.memory[:-1].view(np.uint8)
        assert caught.value is DAMAGED
        assert not board.launched
        assert not found[(found != 0) & (found != np.frombuffer(before, np.uint8))].size
        _, parts = message_of(rng)
        assert evaluator.evaluate_ahead(parts, nothing) == [b"".join(parts)]


@pytest.mark.parametrize("wrong", ["one less", "one more", "none", "shorter", "longer", "of lengths that add up"])
@pytest.mark.parametrize("refused", [True, False])
def test_what_has_another_form_is_verified_first_and_not_copied(monkeypatch, wrong, refused):
    _, (first, second, *others) = message_of(np.random.default_rng(0))
    parts = {
        "one less": [second, *others],
        "one more": [first, first, second, *others],
        "none": [],
        "shorter": [first[:-8], second, *others],
        "longer": [first, second, *others[:-1], memoryview(bytes(others[-1]) + bytes(8))],
        "of lengths that add up": [first[:-8], memoryview(bytes(second) + bytes(8)), *others],
    }[wrong]
    calls = []

    def verify():
        calls.append(None)
        if refused:
            raise DAMAGED

    monkeypatch.setattr(Pieces, "copy", lambda *_: pytest.fail("it was copied"))
    said = "digest" if refused else r"must be 6 ciphertexts|must have 40 bytes"
    with evaluator_of() as evaluator, pytest.raises(ValueError, match=said):
        evaluator.evaluate_ahead(parts, verify)
    assert len(calls) == 1


def test_a_request_is_verified_while_another_one_is_evaluated():
    _, parts = message_of(np.random.default_rng(0))
    verified, answers = threading.Event(), []
    with evaluator_of() as evaluator:
        asking = threading.Thread(target=lambda: answers.append(evaluator.evaluate_ahead(parts, verified.set)))
        with evaluator.board._lock:  # another one's
            asking.start()
            assert verified.wait(60)
            assert not evaluator.board._stream.waiting
            assert not answers
        asking.join(60)
    assert answers == [[b"".join(parts)]]


@pytest.mark.parametrize("refused", [True, False])
def test_a_gpu_that_fails_is_told_after_what_is_wrong_with_a_request(refused):
    _, parts = message_of(np.random.default_rng(0))

    def verify():
        calls.append(None)
        if refused:
            raise DAMAGED

    class Lost(Gpu):
        def __enter__(self):
            raise DeviceError("the GPU was lost")

    def lost(*_):
        raise DeviceError("the GPU was lost")

    for place, name, broken in (
        ("_resident", "gpu", Lost()),
        ("_stream", "synchronize", lost),
        ("_pieces", "_gpu", Lost()),
    ):
        with evaluator_of() as evaluator, pytest.MonkeyPatch.context() as patch:
            calls = []
            patch.setattr(getattr(evaluator.board, place), name, broken)
            with pytest.raises(MessageError if refused else DeviceError):
                evaluator.evaluate_ahead(parts, verify)
            assert len(calls) == 1
            assert not evaluator.board.launched


@pytest.mark.parametrize("refused", [True, False])
def test_an_interrupt_anywhere_leaves_a_session_that_answers_right(refused):
    """And nobody who reads the request later.

    `Board._alone` is left out: it returns what it calls within a context, and behind such a call an interrupt is still
    within it, but what a tracer raises there is not.
    """
    places = (
        *(CudaEvaluator.evaluate_ahead, Board.answer_ahead, Board._answered, Requests.copy, Pieces.copy),
        *(Workers.__enter__, Workers.all, Workers._until, Workers.end, Workers.__exit__),
    )
    rng, number, came = np.random.default_rng(0), 0, True

    def verify():
        time.sleep(0.0005)
        if refused:
            raise DAMAGED

    while came:
        with evaluator_of(words=2) as evaluator:
            data, parts = message_of(rng, bytearray)
            sent = np.frombuffer(b"".join(parts), np.uint8)
            with interrupted_at(number, *places) as interrupt:
                try:
                    assert evaluator.evaluate_ahead(parts, verify) == [sent.tobytes()]
                except MessageError:
                    assert refused
            number, came = number + 1, interrupt.came
            data[:] = bytes(255 for _ in data)
            evaluator.board._stream.synchronize()
            found = evaluator.board.memory[:-1].view(np.uint8)
            assert not found[(found != 0) & (found != sent)].size
            assert not (refused and evaluator.board.launched)
            _, parts = message_of(rng)
            answers = []
            asking = threading.Thread(
                target=lambda e=evaluator, p=parts, a=answers: a.append(e.evaluate_ahead(p, nothing)), daemon=True
            )
            asking.start()
            asking.join(60)
            assert answers == [[b"".join(parts)]], number
    assert number > 60


def test_requests_that_come_at_once_are_each_answered_to_what_they_are():
    """Some are refused, sooner or later than they are copied."""
    with evaluator_of() as evaluator:

        def asked(seed, wrong):
            rng = np.random.default_rng(seed)
            for _ in range(20):
                _, parts = message_of(rng)
                refused, seconds = rng.random() < 0.3, rng.random() / 1000

                def verify(seconds=seconds, refused=refused):
                    time.sleep(seconds)
                    if refused:
                        raise DAMAGED

                try:
                    answer = evaluator.evaluate_ahead(parts, verify)
                    wrong += [seed] * (refused or answer != [b"".join(parts)])
                except MessageError:
                    wrong += [seed] * (not refused)
            wrong.append("over")

        found = [[] for _ in range(4)]
        asking = [threading.Thread(target=asked, args=pair, daemon=True) for pair in enumerate(found)]
        for one in asking:
            one.start()
        for one in asking:
            one.join(60)
    assert found == [["over"]] * 4


@pytest.mark.parametrize(("threads", "mib", "long"), [(1, 64, False), (2, 15, False), (2, 16, True), (16, 64, True)])
def test_large_requests_alone_are_read_ahead(threads, mib, long):
    with pieces_of(1 << 10, mib << 17, threads) as through:
        assert through.long == long
