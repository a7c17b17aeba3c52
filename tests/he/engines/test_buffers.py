"""Memory that comes back."""

import gc
import sys

import numpy as np

from he.engines.rns.buffers import LINE, Buffers, _Loan
from tests.interrupts import interrupted_at


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
    buffers.empty(1)
    assert sum(len(free) for free in buffers._free.values()) == 1


def test_nothing_is_lost_in_a_circle():
    buffers = Buffers()
    circle = [buffers.empty(10)]
    place = circle[0].ctypes.data
    circle.append(circle)
    del circle
    gc.collect()
    assert buffers.empty(10).ctypes.data == place


def test_no_interrupt_finds_memory_on_its_way_back():
    """What Python runs when an object ends may be interrupted, and is then forgotten with the interrupt."""
    buffers, called = Buffers(), []
    x = buffers.empty(10)
    place = x.ctypes.data
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    del x
    sys.setprofile(None)
    assert called == []
    assert buffers.empty(10).ctypes.data == place


def test_an_interrupt_while_memory_is_lent_leaves_arrays_apart():
    for number in range(1000):
        buffers = Buffers()
        arrays = [buffers.empty(10) for _ in range(3)]
        del arrays[1:]
        with interrupted_at(number, Buffers.empty, Buffers._keep, _Loan.__init__) as interrupt:
            arrays.append(buffers.empty(10))
        arrays += [buffers.empty(10) for _ in range(3)]
        assert len({array.ctypes.data for array in arrays}) == len(arrays)
        if not interrupt.came:
            break
    assert number > 5
