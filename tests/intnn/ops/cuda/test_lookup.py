"""What the lookup on a GPU compiles to. This needs NVIDIA's compiler, but no GPU."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn.ops.cuda.lookup import lookup_kernel
from tests.ptx import FLOATS, TABLE, WORDS, needs_compiler, ptx


@needs_compiler
def test_the_lookup_calculates_without_floats():
    code = ptx(lookup_kernel, (WORDS, TABLE, WORDS))
    assert not FLOATS.search(code)
    assert ".extern .func" not in code
