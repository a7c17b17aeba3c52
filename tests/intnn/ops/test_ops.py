"""Every backend gives the bits of plain Python integers, operation by operation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import ops
from intnn.ops import reference
from intnn.testing import int_arrays

SMALL = 1 << 8
LARGE = 1 << 28  # products reach 2**56: only int64 holds the sums
FAST = [ops.backend("numpy"), ops.backend("numba")]
IDS = ["numpy", "numba"]
few = settings(max_examples=60)


def agree(name, bound, x, *arguments):
    """Every backend, in the arithmetic that it chooses for the bound, gives the reference's bits."""
    expected = getattr(reference, name)(x, *arguments)
    for backend in FAST:
        y = getattr(backend, name)(x.astype(backend.arithmetic(bound)), *arguments)
        assert y.shape == expected.shape
        assert np.array_equal(y.astype(np.int64), expected)


magnitudes = st.sampled_from([3, SMALL, LARGE])


@few
@given(st.data(), magnitudes, st.integers(1, 3), st.integers(1, 7), st.integers(1, 4))
def test_dense(data, m, batch, width, out):
    x, w, b = (data.draw(int_arrays(shape, -m, m)) for shape in ((batch, width), (out, width), (out,)))
    agree("dense", width * m * m + m, x, w, b)


@few
@given(
    st.data(),
    magnitudes,
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_conv2d(data, m, images, window, stride, padding):
    out, *kernel = window
    kernel = [min(size, side + 2 * padding) for size, side in zip(kernel, images[2:], strict=True)]
    weight_shape = (out, images[1], *kernel)
    x, w, b = (data.draw(int_arrays(shape, -m, m)) for shape in (images, weight_shape, (out,)))
    agree("conv2d", int(np.prod(weight_shape[1:])) * m * m + m, x, w, b, stride, padding)


@few
@given(
    st.data(),
    magnitudes,
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_sum_pool2d(data, m, images, size, stride):
    size = min(size, *images[2:])
    agree("sum_pool2d", size**2 * m, data.draw(int_arrays(images, -m, m)), size, stride)


@few
@given(st.data(), st.integers(-(2**40), 2**40), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_lookup(data, lo, shape):
    table = data.draw(int_arrays((9,), -(2**63), 2**63 - 1))
    x = data.draw(int_arrays(tuple(shape), lo, lo + 8))
    expected = reference.lookup(x, table, lo)
    for backend in FAST:
        assert np.array_equal(backend.lookup(x, table, lo), expected)


@pytest.mark.parametrize("backend", FAST, ids=IDS)
def test_int64_sums_are_exact_up_to_their_limit(backend):
    x, w, b = np.array([[2**31, 1]]), np.array([[2**32 - 1, 2**30]]), np.array([2**30 - 1])
    assert backend.dense(x.astype(backend.arithmetic(2**63 - 1)), w, b) == 2**63 - 1
