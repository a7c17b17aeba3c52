"""What stands for GPU instructions in Numba's simulator computes plain sums of products."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.machine.cuda.simulated import dp4a, load4, store4

SIGNED = st.lists(st.integers(-128, 127), min_size=4, max_size=4)
UNSIGNED = st.lists(st.integers(0, 255), min_size=4, max_size=4)


@given(SIGNED, UNSIGNED, st.integers(-(2**31), 2**31 - 1))
def test_dp4a_adds_four_products_of_bytes(a, b, c):
    x, y = struct.unpack("<i", bytes(v % 256 for v in a))[0], struct.unpack("<i", bytes(b))[0]
    assert dp4a("s8", "u8")(x, y, c) == c + sum(p * q for p, q in zip(a, b, strict=True))
    assert dp4a("u8", "s8")(y, x, c) == dp4a("s8", "u8")(x, y, c)


def test_four_words_are_accessed_only_from_a_border():
    words = np.arange(8, dtype=np.int32)
    assert load4(words, 4) == (4, 5, 6, 7)
    store4(words, 0, (4, 3, 2, 1))
    assert words.tolist() == [4, 3, 2, 1, 4, 5, 6, 7]
    for access in (lambda: load4(words, 2), lambda: store4(words, 1, (0, 0, 0, 0))):
        with pytest.raises(ValueError, match="`index` of an access to four words must be a multiple of four"):
            access()
