"""The floats that numpy computes in are exact on integers as far as it uses them."""

import numpy as np
import pytest

from intnn.ops import numpy_, reference


@pytest.mark.parametrize(
    ("bound", "dtype"),
    [
        (0, np.float32),
        (2**24 - 1, np.float32),
        (2**24, np.float64),
        (2**53 - 1, np.float64),
        (2**53, np.int64),
        (2**63 - 1, np.int64),
    ],
)
def test_numpy_chooses_the_fastest_exact_arithmetic(bound, dtype):
    assert numpy_.arithmetic(bound) is dtype


@pytest.mark.parametrize(("limit", "dtype"), [(2**24, np.float32), (2**53, np.float64)])
def test_the_chosen_float_is_exact_at_its_limit_and_would_not_be_beyond(limit, dtype):
    """The worst case of a bound one below the limit, in many terms; and the step that the float cannot take."""
    x, zero = np.ones((1, 64), np.int64), np.zeros(1, np.int64)
    w = np.full((1, 64), limit // 64)
    w[0, 0] -= 1
    for sign in (1, -1):
        assert reference.dense(x, sign * w, zero) == sign * (limit - 1)
        assert numpy_.dense(x.astype(numpy_.arithmetic(limit - 1)), sign * w, zero) == sign * (limit - 1)
    assert dtype(limit + 1) == dtype(limit)
