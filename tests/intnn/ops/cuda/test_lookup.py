"""What the lookup on a GPU compiles to. This needs NVIDIA's compiler, but no GPU."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.ops.cuda.lookup import lookup_kernel
from tests.ptx import CAPABILITIES, TABLE, WORDS, hold, needs_compiler


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_lookup_calculates_without_floats(capability):
    hold(lookup_kernel, (WORDS, TABLE, WORDS), capability, registers=40, shared=256 * 4)
