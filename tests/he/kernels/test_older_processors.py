"""Processors without the instructions that the kernels are written for: the same bits, by what LLVM puts in place."""

import os
import platform
import subprocess
import sys

import pytest

AVX2 = "+sse4.2,+avx,+avx2"
FMA = f"{AVX2},+fma"


def outcome(**environment):
    """What the kernels come to on a processor that the environment describes."""
    command = [sys.executable, "-m", "tests.he.kernels.outcomes"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=True).stdout


@pytest.fixture(scope="module")
def native():
    return outcome()


@pytest.mark.slow  # a minute of compilation each
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="stands for processors of this family")
@pytest.mark.parametrize("features", ["+sse2", AVX2, FMA, f"{FMA},+avx512f,+avx512bw,+avx512dq,+avx512vl"])
def test_older_processors_give_the_same_bits(native, features, tmp_path):
    found = outcome(NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES=features, NUMBA_CACHE_DIR=str(tmp_path))
    assert len(native) == 65
    assert found == native
