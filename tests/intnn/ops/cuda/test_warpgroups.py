"""What the product by groups of warps compiles to. This needs NVIDIA's compiler, but no GPU."""

import re
import weakref
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.machine.cuda.assembly import tensor_map
from intnn.machine.cuda.device import DeviceError
from intnn.ops.cuda.warpgroups import GROUP_THREADS, SHARED_BYTES, GroupTile, lines, warpgroup_kernel
from tests.ptx import HOPPER_ALONE, MAP, TABLE, WORDS, hold, needs_compiler, several

PRODUCT = (MAP, MAP, WORDS, WORDS, WORDS, TABLE, several(3), several(3))


@needs_compiler
@pytest.mark.parametrize("columns", [256, 64])
@pytest.mark.parametrize(("x_type", "w_type", "fused"), [("s8", "s8", False), ("u8", "s8", True)])
def test_sums_stay_in_registers(columns, x_type, w_type, fused):
    tile = GroupTile(columns=columns)
    # Three groups of warps on a multiprocessor of 65,536 registers: at most 168 each.
    code = hold(
        warpgroup_kernel(tile, x_type, w_type, fused), PRODUCT, HOPPER_ALONE, registers=168,
        stack=16 * 4 if fused else 0, most_threads=tile.threads,
    )  # fmt: skip
    assert f".maxntid {tile.threads}" in code
    products = code.count(f"wgmma.mma_async.sync.aligned.m64n{columns}k32.s32.{x_type}.{w_type}")
    assert products > 0
    assert products % 4 == 0  # the four of a slice
    fences, copies = (
        [found.start() for found in re.finditer(text, code)]
        for text in (r"fence\.proxy\.tensormap::generic\.acquire\.sys \[%rd\d+\], 128;", r"cp\.async\.bulk\.tensor")
    )
    assert len(fences) == 2  # a map each
    assert fences[-1] < copies[0]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"stages": 2}, "at least 3 stages"), ({"columns": 96}, "64, 128 or 256"), ({"stages": 5}, "bytes of shared")],
)
def test_tiles_that_cannot_be(sizes, message):
    with pytest.raises(ValueError, match=message):
        GroupTile(**sizes)


def test_a_matrix_that_the_driver_does_not_take(monkeypatch):
    from cuda.bindings import driver

    invalid = driver.CUresult.CUDA_ERROR_INVALID_VALUE
    asked = []
    monkeypatch.setattr(driver, "cuTensorMapEncodeTiled", lambda *a: asked.append(a) or (invalid, None))
    array = SimpleNamespace(__cuda_array_interface__={"data": (8, False)})
    with pytest.raises(DeviceError, match=r"3 x 32 bytes .* CUDA_ERROR_INVALID_VALUE"):
        tensor_map(array, 3, 32, 64)
    assert [[int(n) for n in numbers] for numbers in asked[0][3:7]] == [[32, 3], [32], [128, 64], [1, 1]]


def test_a_map_keeps_the_matrix_whose_address_it_has(monkeypatch):
    from cuda.bindings import driver
    from numba import cuda

    class Matrix:
        __cuda_array_interface__ = MappingProxyType({"data": (1 << 40, False)})

    class There(np.ndarray):
        """An array that can have attributes, as those on a GPU."""

    made = SimpleNamespace(opaque=range(16))
    monkeypatch.setattr(driver, "cuTensorMapEncodeTiled", lambda *_: (driver.CUresult.CUDA_SUCCESS, made))
    monkeypatch.setattr(cuda, "to_device", lambda values: values.view(There))
    matrix = Matrix()
    held, map_ = weakref.ref(matrix), tensor_map(matrix, 3, 32, 64)
    del matrix
    assert held() is not None
    assert np.array_equal(map_, np.arange(16))
    del map_
    assert held() is None


@given(st.integers(1, 1 << 20), st.integers(1, 1 << 14), st.integers(1, 200))
def test_a_tile_fits_the_result(rows, columns, multiprocessors):
    fitted = GroupTile().fitted(rows, columns, multiprocessors)
    assert fitted.shared <= SHARED_BYTES
    assert fitted.threads == 3 * GROUP_THREADS
    parts = -(-rows // fitted.rows) * -(-columns // fitted.columns)
    assert fitted.columns == 64 or parts >= multiprocessors
    assert 1 <= fitted.grid(rows, columns, multiprocessors) <= min(parts, multiprocessors)


@given(st.integers(1, 700))
def test_lines_are_all_columns(columns):
    order = lines(columns)
    assert len(order) % 64 == 0
    assert np.array_equal(np.sort(order), np.arange(len(order)))
    # What a thread has of 64 lines, by the instruction's layout, are 16 contiguous columns.
    for thread in range(4):
        held = order[:64].reshape(8, 4, 2)[:, thread].ravel()
        assert np.array_equal(held, 16 * thread + np.arange(16))
