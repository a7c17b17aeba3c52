"""Draws are functions of a seed and a position, and uniform."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intnn.training.generator import draw, draws, key


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=3))
def test_draws_are_functions_of_seed_and_position(seed, path):
    stream = key(seed, *path)
    assert draws(stream, 5).tolist() == [draw(stream, i) for i in range(5)]


def test_draws_are_uniform_enough():
    values = draws(key(0, 3, 1), 1 << 16)
    # Sixteen bins of 4096 expected each; five standard deviations of a binomial are 5 * sqrt(4096 * 15/16) = 310.
    assert np.abs(np.bincount(values >> 28, minlength=16) - 4096).max() < 310
    assert len(np.unique(values)) > 65_000
