"""What CUDA kernels compile to: PTX, its types, the machine code's registers, and whether the compilers are there."""

import re
from dataclasses import dataclass
from functools import cache

import pytest
from numba import int8, int32, int64, types, uint8, uint64
from numba.cuda import compiler

AMPERE, HOPPER, BLACKWELL = (8, 0), (9, 0), (12, 0)
CAPABILITIES = (AMPERE, HOPPER, BLACKWELL)
HOPPER_ALONE = (9, 0, "a")  # with instructions that later ones do not have; Numba compiles for it on a Hopper
RESERVED = {
    HOPPER: 1024,
    HOPPER_ALONE: 1024,
}  # bytes of shared memory that the assembler counts and a kernel has not asked for

WORDS, LONGS, BYTES, TABLE, MAP = int32[::1], int64[::1], int8[::1], uint8[::1], uint64[::1]


def several(count):
    return types.UniTuple(int64, count)


FLOATS = re.compile(r"\.f(16|32|64)\b")


def compiler_missing():
    try:
        from cuda.core import Linker  # noqa: F401
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # the library's own kinds of error differ between its versions
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(bool(compiler_missing()), reason=f"no NVVM: {compiler_missing()}")


@cache
def _library(kernel, signature, most_threads):
    """A kernel as NVVM takes it, for any capability: Numba takes nearly all of the time until there."""
    given = {"device": False, "abi": "numba", "cc": HOPPER, "launch_bounds": most_threads}
    return compiler._compile_pyfunc_with_fixup(kernel, signature, **given)[0]


def ptx(kernel, signature, capability=HOPPER, most_threads=None):
    return _library(kernel, signature, most_threads).get_asm_str(cc=capability)


@dataclass(frozen=True)
class Resources:
    """What a thread or a block of a kernel takes of a multiprocessor.

    Attributes:
        registers: The 32-bit registers of a thread, of at most 255.
        spilled: The bytes of registers that a thread writes to memory for want of more.
        stack: The bytes of a thread's arrays that are not in registers.
        shared: The bytes of shared memory of a block, without those that the system reserves.
    """

    registers: int
    spilled: int
    stack: int
    shared: int


def resources(code, capability=HOPPER):
    """What the assembler says of PTX: NVIDIA's, which comes with numba-cuda and needs no GPU."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch="sm_" + "".join(map(str, capability)), ptxas_options=["-v"], verbose=True)
    linker = Linker(ObjectCode.from_ptx(code.encode()), options=options)
    linker.link("cubin")
    said = linker.get_info_log()

    def number(pattern):
        found = re.search(pattern, said)
        return int(found[1]) if found else 0

    shared = number(r"(\d+) bytes smem")
    return Resources(
        number(r"[Uu]sed (\d+) registers"), number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes stack frame"),
        max(0, shared - RESERVED.get(capability, 0)),
    )  # fmt: skip


def hold(kernel, signature, capability, registers, stack=0, shared=0, most_threads=None):
    """Hold that a kernel has no floats and no calls, spills nothing, and stays within limits; its PTX is returned.

    And that it can be told from others, as it must be where kernels are kept.
    """
    from intnn.machine.cuda.kept import description

    assert description(kernel)
    code = ptx(kernel, signature, capability, most_threads)
    assert not FLOATS.search(code)
    assert ".extern .func" not in code  # an instruction that the compiler took for a function
    taken = resources(code, capability)
    assert 0 < taken.registers <= registers
    assert taken.spilled == 0
    assert taken.stack <= stack
    assert taken.shared <= shared
    return code
