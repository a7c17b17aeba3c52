"""What the kernels of a training step on a GPU compile to. This needs NVIDIA's compiler, but no GPU."""

import re

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import int64

from intnn.training.cuda import kernels
from tests.ptx import BYTES, CAPABILITIES, LONGS, TABLE, WORDS, hold, needs_compiler, ptx, several

# The registers of a thread: 80 leave room for three blocks of 256 threads on a multiprocessor, and 64 for four.
KERNELS = {
    kernels.patches_kernel: ((BYTES, BYTES, int64, int64, several(4), several(4)), 64, 32 * 33),
    kernels.fold_kernel: ((WORDS, WORDS, int64, int64, several(4), several(4)), 80, 0),
    kernels.pool_kernel: ((TABLE, TABLE, int64, int64, int64, several(3)), 64, 0),
    kernels.column_sums_kernel: ((BYTES, WORDS, int64, int64), 64, 0),
    kernels.activate_kernel: ((WORDS, BYTES, BYTES, int64, int64, BYTES, BYTES, int64, int64), 64, 0),
    kernels.softmax_errors_kernel: ((WORDS, LONGS, LONGS, int64, WORDS, int64, int64), 80, 0),
    kernels.largest_kernel: ((WORDS, LONGS, int64, int64), 64, 8),
    kernels.quantise_errors_kernel: (
        (WORDS, LONGS, LONGS, BYTES, LONGS, int64, LONGS, BYTES, WORDS, int64, int64, several(3)), 64, 0
    ),
    kernels.update_kernel: (
        (WORDS, WORDS, WORDS, BYTES, LONGS, LONGS, LONGS, several(2), several(5), int64, int64), 64, 0
    ),
}  # fmt: skip


def test_every_kernel_is_here():
    assert set(KERNELS) == set(kernels.KERNELS)


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_no_kernel_calculates_in_floats_or_spills(kernel, capability):
    signature, registers, shared = KERNELS[kernel]
    hold(kernel, signature, capability, registers, shared=shared)


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "instructions"),
    [
        (kernels.column_sums_kernel, {("global", "add")}),
        (kernels.largest_kernel, {("global", "max"), ("shared", "max")}),
    ],
)
def test_words_that_several_threads_change_are_changed_by_atomic_instructions(kernel, instructions):
    signature, _, _ = KERNELS[kernel]
    code = ptx(kernel, signature)
    assert set(re.findall(r"\b(?:atom|red)\.(?:\w+\.)*?(global|shared)\.(\w+)\.", code)) == instructions
