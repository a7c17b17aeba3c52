import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from intnn.machine.jit import compiled
from intnn.machine.wide import high_word

WORDS = st.integers(0, 2**64 - 1)


@compiled
def high(a, b):
    return high_word(a, b)


@given(WORDS, WORDS)
@example(2**64 - 1, 2**64 - 1)
@example(2**32, 2**32)
def test_the_high_word_is_that_of_integers(a, b):
    assert int(high(np.uint64(a), np.uint64(b))) == a * b >> 64
