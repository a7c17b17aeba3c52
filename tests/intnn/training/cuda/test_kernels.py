"""What the kernels of a training step on a GPU compile to. This needs NVIDIA's compiler, but no GPU."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import int64

from intnn.training.cuda import kernels
from tests.ptx import BYTES, FLOATS, LONGS, WORDS, needs_compiler, ptx, several


@needs_compiler
@pytest.mark.parametrize(
    ("kernel", "signature"),
    [
        (kernels.transpose_kernel, (BYTES, BYTES, int64, int64)),
        (kernels.column_sums_kernel, (BYTES, WORDS, int64, int64)),
        (kernels.activate_kernel, (WORDS, BYTES, BYTES, int64, int64, BYTES, BYTES, int64, int64)),
        (kernels.softmax_errors_kernel, (WORDS, LONGS, LONGS, int64, WORDS, int64, int64)),
        (kernels.largest_kernel, (WORDS, LONGS, int64, int64)),
        (
            kernels.quantise_errors_kernel,
            (WORDS, LONGS, several(2), BYTES, LONGS, int64, LONGS, BYTES, int64, int64),
        ),
        (
            kernels.update_kernel,
            (WORDS, WORDS, WORDS, BYTES, LONGS, LONGS, several(3), several(5), int64, int64),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_kernel_calculates_in_floats(kernel, signature):
    code = ptx(kernel, signature)
    assert not FLOATS.search(code)
    assert ".extern .func" not in code
