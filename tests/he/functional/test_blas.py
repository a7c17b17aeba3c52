"""Products are numpy's, and threads are as they were."""

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from he.functional.blas import product


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Threads that a product could take away."""
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.mark.parametrize("shape", [(3, 5, 7), (64, 65, 66)])
def test_a_product_is_that_of_integers_and_leaves_threads_alone(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    rows, length, columns = shape
    a, b = rng.integers(-(1 << 20), 1 << 20, (2, rows, length)), rng.integers(-99, 99, (2, length, columns))
    before = threadpool_info()
    assert (product(a.astype(np.float64), b.astype(np.float64)) == a @ b).all()
    assert threadpool_info() == before


def test_threads_are_given_back_after_an_error() -> None:
    before = threadpool_info()
    with pytest.raises(ValueError, match="matmul"):
        product(np.zeros((99, 99)), np.zeros((98, 99)))
    assert threadpool_info() == before
