from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import example, given
from hypothesis import strategies as st

from he.functional.pads.words import pads


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
