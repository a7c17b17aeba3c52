"""What the CUDA kernels on residues compile to. This needs NVIDIA's compiler, but no GPU."""

import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda, float64, int64, uint64

from he.kernels.cuda import evaluate, product, transform
from he.kernels.cuda.words import MAX_TERMS
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes

HOPPER = (9, 0)
ROW, ROWS, CUBE, FOUR = uint64[::1], uint64[:, ::1], uint64[:, :, ::1], uint64[:, :, :, ::1]
PLACES = int64[:, ::1]
INTO = (ROWS, ROWS, PLACES)
COUNTS = range(1, transform.PASS_STAGES + 1)
KERNELS = {
    **{transform.forward_pass(count): (*INTO, int64, ROWS, CUBE, int64) for count in COUNTS},
    **{transform.inverse_pass(count): (ROWS, PLACES, ROWS, CUBE, int64) for count in COUNTS},
    transform.forward_blocks_kernel: (*INTO, int64, ROWS, CUBE),
    transform.inverse_blocks_kernel: (*INTO, ROWS, CUBE),
    evaluate.multiply_kernel: (FOUR, FOUR, FOUR, int64, ROWS),
    evaluate.plain_products_kernel: (FOUR, CUBE, CUBE, ROWS),
    evaluate.key_products_kernel: (FOUR, FOUR, int64, FOUR, ROWS),
    evaluate.lift_digits_kernel: (FOUR, int64, FOUR, int64, ROWS, CUBE),
    evaluate.lift_last_kernel: (CUBE, CUBE, int64, ROWS, CUBE),
    evaluate.mod_down_kernel: (CUBE, CUBE, int64, ROWS, CUBE),
    product.extend_kernel: (CUBE, CUBE, int64, int64, ROWS, float64[::1], ROWS, ROWS),
    product.quotient_kernel: (CUBE, CUBE, int64, ROWS, ROWS, ROWS),
}


def compiler_missing():
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # the library's own kinds of error differ between its versions
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(bool(compiler_missing()), reason=f"no NVVM: {compiler_missing()}")


def ptx(kernel, signature):
    code = cuda.compile_ptx(kernel, signature, cc=HOPPER)[0]
    assert ".extern" not in code  # an instruction that the compiler took for a function
    assert "__local_depot" not in code  # residues stay in registers
    return code


@needs_compiler
@pytest.mark.parametrize(("kernel", "signature"), KERNELS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_products_of_64_bits_in_integers(kernel, signature):
    code = ptx(kernel, signature)
    assert "mul.hi.u64" in code
    # Fractions are rounded after the product and after the sum, as on the CPU.
    assert not re.search(r"\bfma\b", code)
    if kernel is not product.extend_kernel:
        assert not re.search(r"\.f(16|32|64)\b", code)


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "signature"),
    [(evaluate.add_kernel, (FOUR, FOUR, FOUR, ROWS)), (evaluate.permute_kernel, (FOUR, ROW, FOUR))],
)
def test_kernels_without_products(kernel, signature):
    assert not re.search(r"\.f(16|32|64)\b", ptx(kernel, signature))


@needs_compiler
@pytest.mark.parametrize("count", COUNTS)
def test_every_butterfly_is_unrolled(count):
    for kernel in (transform.forward_pass(count), transform.inverse_pass(count)):
        assert ptx(kernel, KERNELS[kernel]).count("mul.hi.u64") == count << (count - 1)


@pytest.mark.parametrize("N", [1024, 2048, 8192, 32768])
def test_passes_leave_a_block(N):
    stages = [*transform.passes(N)]
    assert sum(count for _, count in stages) + transform.BLOCK_BITS == N.bit_length() - 1
    assert all(1 <= count <= transform.PASS_STAGES for _, count in stages)
    assert not stages or stages[-1][0] == transform.BLOCK_BITS


def test_a_ring_smaller_than_a_block_is_refused():
    with pytest.raises(ValueError, match=r"`chain\.N` must be at least 1024, got 512"):
        transform.device_tables(chain(512, ntt_primes((30,), 512)))


def test_sums_that_would_not_fit_128_bits_are_refused():
    terms = MAX_TERMS + 1
    with pytest.raises(ValueError, match=f"at most {MAX_TERMS} products in a sum, got {terms}"):
        evaluate.plain_products(None, np.empty((terms, 1, 1, 1)), None, None)
