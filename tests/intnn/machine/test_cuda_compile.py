"""What the CUDA kernels compile to. This needs NVIDIA's compiler, but no GPU."""

import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda, int8, int32, int64, types, uint8

from intnn.ops.cuda.gemm import Tile, dot_kernel, tensor_kernel
from intnn.ops.cuda.lookup import lookup_kernel
from intnn.ops.cuda.product import Epilogue, channels_last, dense, offsets
from intnn.training.cuda import kernels as cuda_training

AMPERE, HOPPER = (8, 0), (9, 0)
WORDS, LONGS, BYTES, TABLE = int32[::1], int64[::1], int8[::1], uint8[::1]


def several(count):
    return types.UniTuple(int64, count)


FLOATS = re.compile(r"\.f(16|32|64)\b")
PRODUCT = (WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, TABLE, several(3), several(7), several(3))


def compiler_missing():
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # the library's own kinds of error differ between its versions
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(bool(compiler_missing()), reason=f"no NVVM: {compiler_missing()}")


def ptx(kernel, signature, capability=HOPPER):
    return cuda.compile_ptx(kernel, signature, cc=capability)[0]


@needs_compiler
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("x_type", "w_type"), [("s8", "s8"), ("u8", "s8"), ("s8", "u8")])
@pytest.mark.parametrize("capability", [AMPERE, HOPPER])
def test_tensor_cores(x_type, w_type, fused, capability):
    tile = Tile()
    code = ptx(tensor_kernel(tile, x_type, w_type, fused), PRODUCT, capability)
    instruction = f"mma.sync.aligned.m16n8k32.row.col.s32.{x_type}.{w_type}.s32"
    # 2 of 32 bytes' depth for every 16 rows and 8 columns of a warp: nothing is calculated twice, and all is unrolled.
    assert code.count(instruction) == 2 * tile.fragments * 8
    assert code.count("cp.async.cg.shared.global") == (tile.rows + tile.columns) * 4 // tile.threads
    assert "ld.shared.v4" in code
    assert not FLOATS.search(code)
    # Sums that were not kept in registers would be here, all 128 of them; what is there is one line of results.
    assert [int(size) for size in re.findall(r"__local_depot\d+\[(\d+)\]", code)] in ([], [16 * 4])


@needs_compiler
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("x_type", "w_type", "instruction"),
    [("s8", "s8", "dp4a.s32.s32"), ("u8", "s8", "dp4a.u32.s32"), ("s8", "u8", "dp4a.s32.u32")],
)
def test_dp4a(x_type, w_type, instruction, fused):
    code = ptx(dot_kernel(x_type, w_type, fused), PRODUCT)
    assert instruction in code
    assert "__local_depot" not in code
    assert not FLOATS.search(code)
    assert ".extern" not in code  # an instruction that the compiler took for a function


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "signature"),
    [
        (lookup_kernel, (WORDS, TABLE, WORDS)),
        (cuda_training.transpose_kernel, (BYTES, BYTES, int64, int64)),
        (cuda_training.column_sums_kernel, (BYTES, WORDS, int64, int64)),
        (cuda_training.activate_kernel, (WORDS, BYTES, BYTES, int64, int64, BYTES, BYTES, int64, int64)),
        (cuda_training.softmax_errors_kernel, (WORDS, LONGS, LONGS, int64, WORDS, int64, int64)),
        (cuda_training.largest_kernel, (WORDS, LONGS, int64, int64)),
        (
            cuda_training.quantise_errors_kernel,
            (WORDS, LONGS, several(2), BYTES, LONGS, int64, LONGS, BYTES, int64, int64),
        ),
        (
            cuda_training.update_kernel,
            (WORDS, WORDS, WORDS, BYTES, LONGS, LONGS, several(3), several(5), int64, int64),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_kernel_calculates_in_floats(kernel, signature):
    code = ptx(kernel, signature)
    assert not FLOATS.search(code)
    assert ".extern .func" not in code


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"stages": 1}, "at least 2 stages"),
        ({"fragments": 0}, "positive sizes"),
        ({"stages": 4}, "49152 bytes of shared memory"),
        ({"warp_rows": 1, "warp_columns": 4, "fragments": 1, "stages": 2}, "as many 16-byte pieces"),
    ],
)
def test_tiles_that_cannot_be(sizes, message):
    with pytest.raises(ValueError, match=message):
        Tile(**sizes)


def test_layout():
    x = np.arange(2 * 3 * 2 * 2, dtype=np.int8).reshape(2, 3, 2, 2)
    words = channels_last(x)
    pixels = words.view(np.int8).reshape(2, 2, 2, 16)
    assert np.array_equal(pixels[..., :3].transpose(0, 3, 1, 2), x)
    assert not pixels[..., 3:].any()
    # A window of 1 x 2 pixels of eight words in an image five wide: two pieces of four words per pixel.
    assert offsets((1, 2), 5, 8, 4).reshape(-1, 3).tolist() == [[0, 0, 0], [0, 0, 4], [0, 1, 8], [0, 1, 12]]
    assert offsets((2, 1), 5, 8, 8).reshape(-1, 3).tolist() == [[0, 0, 0], [1, 0, 40]]


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
