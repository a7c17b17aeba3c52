"""What the kernels of integer products compile to. This needs NVIDIA's compiler, but no GPU."""

import re
from itertools import product

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.ops.cuda.gemm import SHARED_WORDS, Tile, dot_kernel, tensor_kernel
from tests.ptx import CAPABILITIES, HOPPER, TABLE, WORDS, hold, needs_compiler, several

PRODUCT = (WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, TABLE, several(3), several(9), several(3))


@needs_compiler
@pytest.mark.parametrize("columns", [128, 64, 32])
@pytest.mark.parametrize(
    ("x_type", "w_type", "fused", "capability"),
    [
        *(("s8", "s8", True, capability) for capability in CAPABILITIES),
        ("s8", "s8", False, HOPPER),
        ("u8", "s8", True, HOPPER),
        ("s8", "u8", False, HOPPER),
    ],
)
def test_tensor_cores(x_type, w_type, fused, capability, columns):
    tile = Tile().fitted(columns)
    # Of 65,536 registers of a multiprocessor, blocks of 128 threads: two, three or four. Three stages fill 48 KiB.
    registers = {128: 255, 64: 168, 32: 128}[tile.columns]
    kernel = tensor_kernel(tile, x_type, w_type, fused)
    code = hold(kernel, PRODUCT, capability, registers, stack=tile.width, shared=4 * SHARED_WORDS)
    instruction = f"mma.sync.aligned.m16n8k32.row.col.s32.{x_type}.{w_type}.s32"
    # 2 of 32 bytes' depth for every 16 rows and 8 columns of a warp: nothing is calculated twice, and all is unrolled.
    assert code.count(instruction) == 2 * tile.fragments * tile.width // 8
    assert code.count("cp.async.cg.shared.global") == (tile.rows + tile.columns) * 4 // tile.threads
    assert "ld.shared.v4" in code
    # Sums that were not kept in registers would be here, all of them; what is there is one line of results.
    assert [int(size) for size in re.findall(r"__local_depot\d+\[(\d+)\]", code)] in ([], [tile.width])


@pytest.mark.parametrize(
    ("columns", "found"), [(1, 32), (32, 32), (33, 64), (64, 64), (65, 128), (128, 128), (129, 128)]
)
def test_a_tile_is_no_wider_than_a_result(columns, found):
    tile = Tile()
    fitted = tile.fitted(columns)
    assert (fitted.columns, fitted.rows, fitted.threads) == (found, tile.rows, tile.threads)
    assert Tile(1, 1, 1, stages=2).fitted(columns).columns == min(found, 64)
    for sizes in product(range(1, 9), range(1, 9), range(1, 9), (32, 64)):
        try:
            tile = Tile(*sizes[:3], stages=2, width=sizes[3])
        except ValueError:
            continue
        fitted = tile.fitted(columns)  # which is a tile
        assert (fitted.rows, fitted.threads) == (tile.rows, tile.threads)
        assert min(columns, tile.columns) <= fitted.columns <= tile.columns


@needs_compiler
@pytest.mark.parametrize(
    ("x_type", "w_type", "instruction", "fused", "capability"),
    [
        *(("s8", "s8", "dp4a.s32.s32", True, capability) for capability in CAPABILITIES),
        ("u8", "s8", "dp4a.u32.s32", False, HOPPER),
        ("s8", "u8", "dp4a.s32.u32", False, HOPPER),
    ],
)
def test_dp4a(x_type, w_type, instruction, fused, capability):
    lines = 2 * 64 * 9 * 4
    # Three blocks of 256 threads on a multiprocessor.
    code = hold(dot_kernel(x_type, w_type, fused), PRODUCT, capability, registers=80, shared=lines)
    assert instruction in code
    assert "__local_depot" not in code


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"stages": 1}, "at least 2 stages"),
        ({"fragments": 0}, "positive sizes"),
        ({"stages": 4}, "49152 bytes of shared memory"),
        ({"warp_rows": 1, "warp_columns": 4, "fragments": 1, "stages": 2}, "as many 16-byte pieces"),
        ({"warp_rows": 4, "warp_columns": 1, "fragments": 1, "width": 16}, "32 or 64 columns"),
        ({"warp_rows": 8, "warp_columns": 1, "fragments": 1, "width": 32}, "as many 16-byte pieces of each operand"),
    ],
)
def test_tiles_that_cannot_be(sizes, message):
    with pytest.raises(ValueError, match=message):
        Tile(**sizes)
