"""What CUDA kernels compile to: PTX, its types, and whether the compiler for it is there."""

import re

import pytest
from numba import cuda, int8, int32, int64, types, uint8

AMPERE, HOPPER = (8, 0), (9, 0)


WORDS, LONGS, BYTES, TABLE = int32[::1], int64[::1], int8[::1], uint8[::1]


def several(count):
    return types.UniTuple(int64, count)


FLOATS = re.compile(r"\.f(16|32|64)\b")


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
