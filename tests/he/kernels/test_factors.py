"""Packed polynomials: what is put comes back, word by word."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from he.kernels.tables.factors import Factors

N = 64


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(2, 2**52), min_size=1, max_size=4), st.integers(1, 3))
def test_rows_come_back_as_they_were_packed(seed, moduli, count):
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.integers(0, p, (count, N), np.uint64) for p in moduli], axis=1)
    rows[..., -1] = np.array(moduli, np.uint64) - np.uint64(1)  # the last word, behind which nothing follows
    assert np.array_equal(Factors.packed(rows, moduli).rows(), rows.reshape(-1, N))
