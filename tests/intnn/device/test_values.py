"""Values lie in rows, and share buffers where none is read any longer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.device.values import Memory, Value, image_of, narrowest


def test_rows_are_filled_up():
    value = Value.rows(image_of((3, 5, 4)), np.dtype(np.int32))
    assert (value.pixels, value.count, value.width, value.size, value.nbytes) == (20, 60, 16, 320, 1280)
    flat = Value.flat((3, 5, 4), np.dtype(np.int64))
    assert (flat.pixels, flat.count, flat.width, flat.nbytes) == (1, 60, 60, 480)
    assert [image_of(shape) for shape in ((7,), (7, 2), (7, 2, 3), (7, 2, 3, 4))] == [
        (7, 1, 1), (7, 2, 1), (7, 2, 3), (7, 24, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lo", "hi", "dtype"),
    [(0, 255, np.uint8), (-1, 127, np.int8), (-1, 128, np.int32), (0, 256, np.int32), (0, 1 << 31, np.int64)],
)
def test_the_narrowest_type(lo, hi, dtype):
    assert narrowest(lo, hi) == dtype


@st.composite
def graphs(draw):
    """Sizes of values, and steps that each read some of the earlier values, the last one among them."""
    count = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(1, 99), min_size=count + 1, max_size=count + 1))
    steps = [((i, *draw(st.lists(st.integers(0, i), max_size=2))), i + 1) for i in range(count)]
    return sizes, steps


@given(graphs())
def test_no_value_is_written_over_before_it_is_read(graph):
    sizes, steps = graph
    memory = Memory.of(sizes, steps, 0)
    held = {memory.buffers[0]: 0}
    for reads, made in steps:
        assert all(held[memory.buffers[number]] == number for number in reads)
        assert memory.buffers[made] not in {memory.buffers[number] for number in reads}
        held[memory.buffers[made]] = made
    assert all(sizes[number] <= memory.sizes[buffer] for number, buffer in enumerate(memory.buffers))
    assert memory.per_input <= sum(sizes)


def test_a_chain_needs_two_buffers():
    memory = Memory.of([5, 9, 3, 8], [((0,), 1), ((1,), 2), ((2,), 3)], parameters=7)
    assert memory.sizes == (5, 9)
    assert memory.buffers == (0, 1, 0, 1)
    assert [memory.inputs(free) for free in (0, 14, 15, 30)] == [0, 1, 1, 2]
