"""Operands of integer products on a GPU: their layout and their types."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.layers.geometry import windows
from intnn.ops.cuda.product import Epilogue, Window, channels_last, dense, offsets, signed_bytes


def test_layout():
    x = np.arange(2 * 3 * 2 * 2, dtype=np.int8).reshape(2, 3, 2, 2)
    words = channels_last(x)
    pixels = words.view(np.int8).reshape(2, 2, 2, 16)
    assert np.array_equal(pixels[..., :3].transpose(0, 3, 1, 2), x)
    assert not pixels[..., 3:].any()
    # A window of 1 x 2 pixels of eight words in an image five wide: two pieces of four words per pixel.
    assert offsets(Window((1, 2)), 5, 8, 4).reshape(-1, 3).tolist() == [[0, 0, 0], [0, 0, 4], [0, 1, 8], [0, 1, 12]]
    assert offsets(Window((2, 1)), 5, 8, 8).reshape(-1, 3).tolist() == [[0, 0, 0], [1, 0, 40]]
    assert offsets(Window((2, 1), dilation=(3, 1)), 5, 8, 8).reshape(-1, 3).tolist() == [[0, 0, 0], [3, 0, 120]]


@given(st.lists(st.integers(-2000, 2000), min_size=1, max_size=9))
def test_weights_are_sums_of_as_few_bytes_as_there_can_be(weights):
    w = np.array(weights)
    parts = signed_bytes(w)
    assert all(part.dtype == np.int8 for part in parts)
    assert np.array_equal(sum(part.astype(np.int64) for part in parts), w)
    assert len(parts) == max(1, -(-max(weights) // 127), -(min(weights) // 128))


@given(
    st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 3)] * 2), st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(0, 2)] * 4), st.tuples(*[st.integers(1, 3)] * 2),
)  # fmt: skip
def test_windows_count_outputs_as_layers_do(image, size, stride, borders, dilation):
    expected = windows(image, size, stride, borders, dilation)
    if min(expected) > 0:
        assert Window(size, stride, borders, dilation).outputs(image) == expected


@pytest.mark.parametrize(
    ("x", "w", "b", "message"),
    [
        (np.float32, np.int8, np.int32, "`x` must be int8 or uint8, got float32"),
        (np.int8, np.int64, np.int32, "`w` must be int8 or uint8, got int64"),
        (np.int8, np.int8, np.int64, "`b` must be int32, got int64"),
    ],
)
def test_dtypes(x, w, b, message):
    with pytest.raises(TypeError, match=message):
        dense(
            np.ones((2, 3), x), np.ones((4, 3), w), np.ones(4, b), Epilogue(np.ones(4), 0, 0, 0, np.zeros(1, np.int8))
        )
