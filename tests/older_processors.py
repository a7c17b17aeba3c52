"""Programs on processors older than this one, which Numba stands for by the instructions that it leaves out."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from intnn.machine.simd_avx2 import AVX2
from intnn.machine.simd_generic import GENERIC

CASES = {"AVX2": (AVX2, "+sse4.2,+avx,+avx2"), "portable": (GENERIC, "+sse2")}


def with_older_processors(test, names=("AVX2", "portable")):
    """Mark a test of ``isa``, the instructions that such a processor runs on, and ``features``, what it has."""
    family = platform.machine() in ("x86_64", "AMD64")
    skip = pytest.mark.skipif(not family, reason="stands for processors of this family")
    return skip(pytest.mark.parametrize(("isa", "features"), [CASES[name] for name in names], ids=names)(test))


def output_on(isa, features: str, program: str, cache: Path) -> str:
    """What a program prints there, whose kernels are compiled into an empty folder; what goes wrong fails the test."""
    require(isa.features)
    return output_with(features, ("-c", program), cache)


def require(names) -> None:
    """Skip a test where this processor has not all features of some names, LLVM's."""
    absent = set(names) - {name for name, present in llvm.get_host_cpu_features().items() if present}
    if absent:
        pytest.skip(f"the processor has no {', '.join(sorted(absent))}")


def output_with(features: str, arguments, cache: Path) -> str:
    """What Python prints for some arguments on a processor that has but these features."""
    environment = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
