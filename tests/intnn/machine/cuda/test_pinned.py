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
