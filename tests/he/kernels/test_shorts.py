"""Combinations of rows of integers are those of Python integers, on all their limbs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import shorts
from intnn.values.arrays import frozen

BOUNDS = [1, 2**15 - 1, 2**15, 2**20 - 1, 2**30 - 1, 2**30, 2**31 - 1]


def combined(x: np.ndarray, y: np.ndarray, bound: int, limit: int) -> tuple[np.ndarray, int]:
    panels, bits = np.empty(shorts.panels_shape(*x.shape, bound), np.int16), shorts.limb_bits(bound)
    shorts.cut(frozen(x), bits, panels)
    out = np.empty((len(y), x.shape[1]), np.int64)
    return out, shorts.combine(frozen(panels), bits, frozen(y), limit, out)


def ends(rng: np.random.Generator, limit: int, *shape: int) -> np.ndarray:
    """Integers within a limit, half of them at its ends or near 0."""
    edges = rng.choice([-limit, limit, 0, -1, 1], shape)
    return np.where(rng.random(shape) < 0.5, edges, rng.integers(-limit, limit, shape, endpoint=True))


@settings(max_examples=40)
@given(
    st.sampled_from(BOUNDS),
    st.sampled_from([1, 127, 32767]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_combinations_are_those_of_integers(bound: int, limit: int, rows: int, vectors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = ends(rng, bound, rows, 128).astype(np.int32), ends(rng, limit, vectors, rows)
    found, largest = combined(x, y, bound, limit)
    expected = reference.combined(x.tolist(), y.tolist())
    assert found.tolist() == expected
    assert largest == max(max(map(abs, row)) for row in expected)


@pytest.mark.parametrize(
    ("bound", "limit", "rows"),
    [(2**15 - 1, 127, 1000), (2**31 - 1, 32767, 7), (1, 1, 70000), (2**30 - 1, 32767, 9), (2**20 - 1, 32767, 200)],
)
def test_the_largest_sums_of_long_vectors_are_exact(bound: int, limit: int, rows: int) -> None:
    """Sums of 32 bits end in time."""
    x, y = np.full((rows, 64), bound, np.int32), np.full((5, rows), limit)
    x[:, 1::2], y[1] = -bound, -limit
    found, largest = combined(x, y, bound, limit)
    assert largest == rows * bound * limit
    assert (np.abs(found) == largest).all()
    assert (found[0] == -found[1]).all()
    assert (np.sign(found[0]) == np.resize([1, -1], 64)).all()
