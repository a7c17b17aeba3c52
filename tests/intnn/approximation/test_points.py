"""Points like samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intnn.approximation.points import joined, others_like

few = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.floats(-100, 100))


@given(few, st.integers(-3, 40))
def test_samples_are_kept_and_joined_up_to_a_number(x: np.ndarray, most: int) -> None:
    points = joined(x, most)
    assert len(points) == max(len(x), most)
    rows = [tuple(row) for row in points]
    assert all(rows.count(row) >= [tuple(other) for other in x].count(row) for row in map(tuple, x))
    assert np.array_equal(points, joined(x, most))
    assert others_like(x, most).shape == (max(most, 0), x.shape[1])


@given(few, st.floats(-5, 5), st.floats(0.1, 5))
def test_points_move_and_stretch_with_the_samples(x: np.ndarray, offset: float, factor: float) -> None:
    """So no feature's unit or origin makes a difference."""
    np.testing.assert_allclose(others_like(factor * x + offset, 20), factor * others_like(x, 20) + offset, atol=1e-9)


@given(few, st.integers(0, 99))
def test_points_keep_to_the_directions_in_which_samples_vary(x: np.ndarray, seed: int) -> None:
    """What is constant stays so, and what depends linearly on others does."""
    weights = np.random.default_rng(seed).normal(size=(x.shape[1], 1))
    wide = np.concatenate([x, x @ weights, np.full((len(x), 1), 7.0)], axis=1)
    others = others_like(wide, 20)
    np.testing.assert_allclose(others[:, -1], 7.0)
    np.testing.assert_allclose(others[:, -2:-1], others[:, :-2] @ weights, atol=1e-9)


def test_points_vary_as_much_as_the_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + 5.0
    others = others_like(x, 20_000)
    spread = np.sqrt(np.outer(x.std(axis=0), x.std(axis=0)))
    assert np.abs((np.cov(others.T) - np.cov(x.T)) / spread).max() < 0.1
    assert np.abs((others.mean(axis=0) - x.mean(axis=0)) / x.std(axis=0)).max() < 0.05
    assert not (others[:, None] == x[None, :50]).all(axis=2).any()


def test_points_have_the_shape_of_images() -> None:
    images = np.random.default_rng(0).random((5, 2, 3, 4))
    assert joined(images, 30).shape == (30, 2, 3, 4)
