"""Nearly normal integers: sums of a draw's bytes, with the deviation that is stated."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from he.training.draws import DEVIATION, REACH, nearly_normal
from intnn.training.generator import draw, key


@given(st.integers(0, 2**64 - 1), st.integers(1, 30))
def test_they_are_sums_of_bytes(seed, count):
    stream = key(seed, 0)
    assert nearly_normal(stream, count).tolist() == [
        sum(draw(stream, place).to_bytes(4, "little")) - REACH for place in range(count)
    ]


def test_their_deviation_is_that_of_four_independent_bytes():
    numbers = nearly_normal(key(0, 0), 1 << 16)
    assert abs(numbers.mean()) < 4 * DEVIATION / 2**8  # four deviations of the mean of 2^16 draws
    assert abs(numbers.std() / DEVIATION - 1) < 0.02
    assert np.abs(numbers).max() <= REACH
