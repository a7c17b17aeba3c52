"""Copies that are begun by the driver's call; Numba's simulator has none, and no GPU is needed."""

from ctypes import c_size_t
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba.cuda.cudadrv.driver import driver

from intnn.machine.cuda.pinned import address, start_copy


def test_the_driver_is_asked_with_addresses(monkeypatch):
    asked, here = [], np.arange(9, dtype=np.uint64)
    there = SimpleNamespace(device_ctypes_pointer=c_size_t(1 << 40), dtype=here.dtype)
    monkeypatch.setitem(vars(driver), "cuMemcpyHtoDAsync", lambda *given: asked.append(given))
    start_copy(address(there, 5), address(here, 2), 24, SimpleNamespace(handle=c_size_t(77).value))
    assert asked == [((1 << 40) + 40, here[2:].ctypes.data, 24, 77)]


def test_what_lies_there_is_copied_there(monkeypatch):
    asked, there = [], SimpleNamespace(device_ctypes_pointer=c_size_t(1 << 40), dtype=np.dtype(np.uint64))
    monkeypatch.setitem(vars(driver), "cuMemcpyDtoDAsync", lambda *given: asked.append(given))
    start_copy(address(there, 5), address(there, 2), 24, SimpleNamespace(handle=77), on_gpu=True)
    assert asked == [((1 << 40) + 40, (1 << 40) + 16, 24, 77)]
