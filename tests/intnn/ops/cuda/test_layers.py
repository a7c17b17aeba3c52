"""What the kernels of layers compile to. This needs NVIDIA's compiler, but no GPU."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import int32, int64

from intnn.ops.cuda import layers
from tests.ptx import BYTES, CAPABILITIES, LONGS, TABLE, WORDS, hold, needs_compiler, several

# The registers of a thread: 96 leave room for two blocks of 256 threads on a multiprocessor, 64 for four, 40 for six.
KERNELS = {
    layers.window_sums_kernel: (
        (BYTES, BYTES, LONGS, LONGS, TABLE, WORDS, several(4), several(4), several(8), several(2), several(3)), 96
    ),
    layers.windows_kernel: ((BYTES, int32[:, ::1], WORDS, int64, int64, several(5), several(4)), 64),
    layers.rescale_kernel: ((WORDS, LONGS, BYTES, several(3), int64, int64), 40),
    layers.table_kernel: ((WORDS, TABLE, TABLE, int64, int64, int64), 40),
    layers.scale_kernel: ((WORDS, LONGS, LONGS, LONGS, int64, int64), 40),
    layers.polynomial_kernel: ((WORDS, LONGS, LONGS, int64, int64), 64),
    layers.move_kernel: ((BYTES, BYTES, several(3), several(3), int64, int64, int64), 64),
    layers.copy_kernel: ((WORDS, BYTES), 40),
    layers.outside_kernel: ((LONGS, int64, int64, WORDS), 40),
}  # fmt: skip


def test_every_kernel_is_here():
    assert set(KERNELS) == set(layers.KERNELS)


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_no_kernel_calculates_in_floats_or_spills(kernel, capability):
    signature, registers = KERNELS[kernel]
    hold(kernel, signature, capability, registers)
