"""Streams of uniform words: none is given out twice, neither to threads nor to processes."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from he.ring.words import Words


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 300), max_size=6))
def test_words_are_those_of_the_cipher_however_they_are_asked_for(seed, counts):
    stream = Words(seed)
    found = b"".join(stream.words(count).tobytes() for count in counts)
    assert found == Cipher(algorithms.AES256(seed), modes.CTR(bytes(16))).encryptor().update(bytes(8 * sum(counts)))


def test_threads_get_different_words():
    stream = Words()
    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(stream.words, [100] * 400)))
    assert len(set(found.tolist())) == len(found)  # equal ones have a chance of 2^-34


def test_earlier_words_stay_as_they_were():
    stream = Words()
    first = stream.words(64)
    before = first.copy()
    stream.words(64)
    assert np.array_equal(first, before)


def test_a_forked_process_has_a_stream_of_its_own():
    stream = Words()
    stream.words(3)
    to_read, to_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(to_write, stream.words(8).tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = np.frombuffer(os.read(to_read, 64), np.uint64)
    os.close(to_read), os.close(to_write)
    assert len(theirs) == 8
    assert not np.isin(theirs, stream.words(8)).any()
