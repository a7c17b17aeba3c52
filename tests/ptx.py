"""What CUDA kernels compile to: PTX, its types, and whether the compiler for it is there."""

import re
from dataclasses import dataclass
from functools import cache

import pytest
from numba import cuda, int8, int32, int64, types, uint8

AMPERE, HOPPER, BLACKWELL = (8, 0), (9, 0), (12, 0)


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


@cache
def ptx(kernel, signature, capability=HOPPER):
    return cuda.compile_ptx(kernel, signature, cc=capability)[0]


@dataclass(frozen=True)
class Resources:
    """What the assembler gives a kernel: registers of a thread, bytes that they are spilled to, bytes of shared memory.

    From compute capability 9.0 on, 1 kB of the shared memory of every block is the system's.
    """

    registers: int
    spilled: int
    shared: int


def assembled(code: str, capability: tuple[int, int]) -> Resources:
    """Assemble PTX for an architecture by NVIDIA's linker, which needs no GPU."""
    linker = pytest.importorskip("cuda.bindings.nvjitlink", reason="no nvJitLink")
    data = code.encode()
    handle = linker.create(2, [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose"])
    linker.add_data(handle, linker.InputType.PTX, data, len(data), "kernel")
    linker.complete(handle)
    log = bytearray(linker.get_info_log_size(handle))
    linker.get_info_log(handle, log)
    linker.destroy(handle)
    stack, registers, shared = (
        int(re.search(rf"(\d+) {what}", log.decode())[1])
        for what in ("bytes stack frame", "registers, used", "bytes smem")
    )
    spilled = int(re.search(r"(\d+) bytes spill stores", log.decode())[1])
    return Resources(registers, stack + spilled, shared)
