"""Memory that comes back."""

import numpy as np

from he.engines.rns.buffers import LINE, Buffers


def test_an_array_is_as_asked_for_and_begins_with_a_line():
    x = Buffers().empty(2, 3, 5)
    assert x.shape == (2, 3, 5)
    assert x.dtype == np.uint64
    assert x.flags.c_contiguous
    assert x.flags.writeable
    assert x.ctypes.data % LINE == 0


def test_memory_comes_back_with_the_last_view():
    buffers = Buffers()
    x = buffers.empty(4, 8)
    place, row = x.ctypes.data, x[1]
    del x
    assert buffers.empty(4, 8).ctypes.data != place  # a row is still in use
    del row
    assert buffers.empty(8, 4).ctypes.data == place


def test_arrays_in_use_are_apart():
    buffers = Buffers()
    arrays = [buffers.empty(16) for _ in range(9)]
    for i, array in enumerate(arrays):
        array[:] = i
    assert [set(array.tolist()) for array in arrays] == [{i} for i in range(9)]


def test_no_more_is_kept_than_the_limit():
    buffers = Buffers(limit=100)
    kept = [buffers.empty(10) for _ in range(3)]
    del kept
    assert sum(len(free) for free in buffers._free.values()) == 1
