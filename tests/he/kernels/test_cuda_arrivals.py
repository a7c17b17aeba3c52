"""The CUDA kernels on ciphertexts that come: those of the CPU, bit for bit, in Numba's simulator; and their PTX."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import int64, uint8, uint64

from he.kernels.cuda import arrivals
from tests.cuda import checks_of, simulated
from tests.ptx import CAPABILITIES, hold, needs_compiler

MODULE = "tests.he.kernels.cuda_arrivals_simulation"
ROWS, CIPHERTEXTS = uint64[:, ::1], uint64[:, :, :, ::1]

#: Every kernel with the types of its arguments, the most registers of a thread and the most bytes of shared memory.
KERNELS = {
    "unpack": (arrivals.unpack_kernel, (ROWS, int64[:, ::1], ROWS, CIPHERTEXTS, uint64[::1]), 40, 0),
    "roots": (arrivals.roots_kernel, (ROWS, ROWS), 80, 0),
    "expand": (arrivals.expand_kernel, (ROWS, ROWS, CIPHERTEXTS, uint8[:, ::1]), 80, 0),
    "redraw": (arrivals.redraw_kernel, (ROWS, uint8[:, ::1], ROWS, CIPHERTEXTS), 160, 1088),
}


@pytest.fixture(scope="module")
def outcomes():
    return simulated(MODULE)


@pytest.mark.parametrize("name", checks_of(MODULE))
def test_residues_are_those_of_the_processor(outcomes, name):
    assert outcomes[name]


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", KERNELS)
def test_words_stay_in_registers(name, capability):
    kernel, signature, registers, shared = KERNELS[name]
    hold(kernel, signature, capability, registers, shared=shared)
