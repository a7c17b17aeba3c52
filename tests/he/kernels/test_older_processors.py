"""Processors without the instructions that the kernels are written for: the same bits, by what stands for them."""

import platform
import subprocess
import sys

import pytest

from tests.older_processors import output_with, require

OUTCOMES = "-m", "tests.he.kernels.outcomes"
AVX2 = "+sse4.2,+avx,+avx2"
FMA = f"{AVX2},+fma"


@pytest.fixture(scope="module")
def native():
    return subprocess.run([sys.executable, *OUTCOMES], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow  # a minute of compilation each
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="stands for processors of this family")
@pytest.mark.parametrize("features", ["+sse2", AVX2, FMA, f"{FMA},+avx512f,+avx512bw,+avx512dq,+avx512vl"])
def test_older_processors_give_the_same_bits(native, features, tmp_path):
    require(name.removeprefix("+") for name in features.split(","))
    assert len(native) == 65
    assert output_with(features, OUTCOMES, tmp_path) == native
