"""The digest in which messages end: the same by any threads, in processes that were forked, and when interrupted."""

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st

from he.formats.digest import DIGEST_BYTES, hasher
from he.formats.messages import Kind, MessageError, open_message, seal_message

LONG = random.Random(5).randbytes(5 << 20)  # which several threads hash
EXPECTED = blake3(LONG).digest()
MESSAGE = seal_message(Kind.REQUEST, {}, [LONG])


@pytest.mark.parametrize(
    ("data", "digest"),
    [  # as published
        (b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (b"abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ],
)
def test_it_is_blake3_of_32_bytes(data, digest):
    assert hasher().update(data).digest().hex() == digest
    assert len(hasher().digest()) == DIGEST_BYTES


@given(st.lists(st.integers(0, len(LONG)), max_size=5), st.integers(1, 64), st.integers(0, len(LONG)))
@example([], 64, len(LONG))
@example([1, 1 << 20, 3 << 20], 3, 2 << 20)
def test_it_is_the_same_however_bytes_are_cut_and_by_any_threads(cuts, threads, size):
    hashed, ends = hasher(size, threads), [0, *sorted(cuts), len(LONG)]
    for start, end in pairwise(ends):
        hashed.update(memoryview(LONG)[start:end])
    assert hashed.digest() == EXPECTED


@given(st.integers(1, 4), st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_damage_of_any_byte_of_a_long_message_is_found_by_any_threads(threads, place, damage):
    assert open_message(Kind.REQUEST, MESSAGE, threads=threads) == ({}, [LONG])
    damaged = bytearray(MESSAGE)
    damaged[place] ^= damage
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, damaged, threads=threads)


def test_a_short_piece_gets_one_thread(monkeypatch):
    given_ = []
    monkeypatch.setattr("he.formats.digest.blake3", lambda max_threads: given_.append(max_threads))
    for size, threads in ((0, 8), (1 << 20, 8), ((2 << 20) - 1, 8), (2 << 20, 8), (2 << 20, 1), (1 << 30, 8)):
        hasher(size, threads)
    assert given_ == [1, 1, 1, 2, 1, 8]


@pytest.mark.skipif(sys.platform != "linux", reason="it limits addresses as Linux counts them")
def test_a_long_message_is_hashed_where_addresses_are_short():
    """A thread takes 2 MiB of addresses; of 64 threads, as a processor may have, some would not begin."""
    code = (
        "import resource; from he.formats.digest import hasher; data = bytes(64 << 20);"
        "own = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (own + (64 << 20),) * 2);"
        "print(hasher(len(data), 64).update(data).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == blake3(bytes(64 << 20)).hexdigest()


@pytest.mark.parametrize("threads", [0, -1, 2.0, True, "2", None])
def test_a_number_of_threads_is_a_number(threads):
    for take in (lambda: hasher(1 << 30, threads), lambda: open_message(Kind.REQUEST, MESSAGE, threads=threads)):
        with pytest.raises((TypeError, ValueError), match="`threads` must"):
            take()


def test_threads_of_python_hash_at_once():
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda threads: hasher(len(LONG), threads).update(LONG).digest(), [1, 2, 3, 4] * 8)
        assert set(found) == {EXPECTED}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system copies no processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on, where there are threads
def test_a_forked_process_hashes_too():
    """By the threads that BLAKE3 keeps for a whole process it would wait for ever."""
    begun = hasher(len(LONG), 2).update(LONG)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends it also where Python waits
        signal.alarm(20)
        same = begun.digest() == hasher(len(LONG), 2).update(LONG).digest() == EXPECTED
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert hasher(len(LONG), 2).update(LONG).digest() == EXPECTED


INTERRUPTED = """
import os, signal, threading
from he.formats.digest import hasher

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background may not begin with
piece, hashed = bytes(16 << 20), hasher(16 << 20, 2)
hashed.update(piece)
timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
try:
    timer.start()
    while True:
        hashed.update(piece)
except KeyboardInterrupt:
    print(hasher(16 << 20, 2).update(piece).hexdigest())
"""


def test_an_interrupt_ends_it():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == blake3(bytes(16 << 20)).hexdigest()
