"""Compiled networks give the same bits on processors older than this one."""

import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import pytest

from intnn.machine.simd_avx2 import AVX2
from intnn.machine.simd_generic import GENERIC

CHECK = """
import numpy as np
from intnn import *
from intnn.machine.host import instruction_set
rng = np.random.default_rng(0)
byte = IntDomain(-128, 127)
assert instruction_set().name == {name!r}, instruction_set().name
table = lambda: LutActivation(Lut(byte, rng.integers(-128, 128, 256)))
conv = lambda o, i: Conv2d(rng.integers(-128, 128, (o, i, 3, 3)), rng.integers(-9, 9, o), 1, 1)
dense = lambda o, i: Dense(rng.integers(-128, 128, (o, i)), rng.integers(-9, 9, o))
network = IntNetwork((2, 9, 9), byte, (
    conv(5, 2), SumPool2d(2), Requantise(rng.integers(1, 99, 5), 14, byte), table(),
    conv(40, 5), Requantise(rng.integers(-99, 99, 40), 15, byte), table(), Flatten(),
    dense(33, 640), Requantise(rng.integers(2**20, 2**24, 33), 40, byte), dense(10, 33)))
assert network.compiled is not None
for batch in (1, 13):
    x = rng.integers(-128, 128, (batch, 2, 9, 9))
    x[0] = -128
    assert np.array_equal(network.logits(x, "numba"), network.logits(x))
print("equal")
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="stands for processors of this family")
@pytest.mark.parametrize(
    ("isa", "features"), [(AVX2, "+sse4.2,+avx,+avx2"), (GENERIC, "+sse2")], ids=["AVX2", "portable"]
)
def test_older_processors_give_the_same_bits(isa, features, tmp_path):
    if not isa.features <= {name for name, present in llvm.get_host_cpu_features().items() if present}:
        pytest.skip(f"the processor has no {isa.name}")
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", CHECK.format(name=isa.name)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.stdout.strip() == "equal", result.stderr
