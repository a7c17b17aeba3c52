import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional.pads.words import pads, wrapped_products

WORD = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)


def block(key: bytes, number: int) -> list[int]:
    """Four words of a pad: the counter encrypted by AES-256, a block alone."""
    data = Cipher(AES256(key), ECB()).encryptor().update(number.to_bytes(16, "big"))
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, 16, 4)]


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1), st.integers(1, 40))
@example(bytes(32), 2**32 - 3, 5)
def test_words_of_a_pad_are_counters_encrypted(key: bytes, start: int, count: int) -> None:
    found = pads(key, start, count)
    assert found.tolist() == [block(key, at // 4)[at % 4] for at in range(start, start + count)]
    assert not found.flags.writeable


def reference(words: list[list[int]], y: list[list[int]]) -> list[list[int]]:
    """Inner products modulo 2^32 in Python integers, from -2^31 on."""
    sums = [[sum(a * b for a, b in zip(row, key, strict=True)) for key in y] for row in words]
    return [[(value + 2**31) % 2**32 - 2**31 for value in row] for row in sums]


@settings(max_examples=40)
@given(st.data())
def test_products_are_those_of_integers(data: st.DataObject) -> None:
    limit = data.draw(st.sampled_from([1, 127, 32767]))
    length = data.draw(st.integers(1, 6) | st.sampled_from([128, 129, 300]))  # 2^22 / 32767 is 128
    element = st.sampled_from([-limit, limit]) | st.integers(-limit, limit)
    words, y = (
        data.draw(st.lists(st.lists(values, min_size=length, max_size=length), min_size=1, max_size=3))
        if length <= 6
        else [[data.draw(values)] * length]
        for values in (WORD, element)
    )
    found = wrapped_products(np.array(words, np.uint32), np.array(y, np.float64).T, limit)
    assert found.dtype == np.int32
    assert found.tolist() == reference(words, y)


@pytest.mark.parametrize(("length", "limit"), [(65536, 32767), (65536, 127), (33025, 127), (4194304 // 127, 127)])
@pytest.mark.parametrize("word", [2**31, 2**31 + 1, 2**31 - 1])
def test_products_of_the_longest_vectors_are_exact(length: int, limit: int, word: int) -> None:
    y = [[limit] * length, [-limit] * length, [limit] * (length - 1) + [limit - 1]]
    words = np.full((1, length), word, np.uint32)
    found = wrapped_products(words, np.array(y, np.float64).T, limit)
    assert found.tolist() == [[(word * sum(key) + 2**31) % 2**32 - 2**31 for key in y]]
