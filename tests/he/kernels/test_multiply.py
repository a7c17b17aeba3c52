"""Products of 52-bit numbers are those of plain integers, by every way to multiply that a processor may have."""

import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.he.kernels import multiplications
from tests.he.kernels.multiplications import CORNERS, PRIMES, R

numbers = st.one_of(
    st.integers(0, R - 1),
    st.builds(lambda corner, step: (corner + step) % R, st.sampled_from((*CORNERS, *PRIMES)), st.integers(-3, 3)),
)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20)


@given(pairs)
def test_sums_of_products_and_their_quotients(pairs):
    multiplications.check_sums(*zip(*pairs, strict=True))


@given(pairs)
def test_products_with_constants_keep_their_bounds(pairs):
    multiplications.check_constants(*zip(*pairs, strict=True))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="stands for processors of this family")
@pytest.mark.parametrize("more", ["", ",+avx,+avx2,+fma", ",+avx,+avx2,+fma,+avx512f,+avx512dq,+avx512bw,+avx512vl"])
def test_older_processors_multiply_alike(more, tmp_path):
    names = [name[1:] for name in more.split(",") if name]
    if not all(llvm.get_host_cpu_features().get(name) for name in names):
        pytest.skip("the processor has no such instructions")
    environment = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": f"+sse4.2{more}", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.he.kernels.multiplications"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert (result.stdout, result.returncode) == ("right\n", 0), result.stderr
