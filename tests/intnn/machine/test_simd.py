"""Instruction sets: chosen by features, found in the machine code, and equal in every bit where they can run."""

import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from intnn.compiled.tile import Tile
from intnn.machine.host import INSTRUCTION_SETS, fastest, instruction_set
from intnn.machine.simd import I64
from intnn.machine.simd_avx2 import AVX2, AVX_VNNI
from intnn.machine.simd_avx512 import AVX512_VNNI
from intnn.machine.simd_generic import GENERIC
from intnn.machine.simd_neon import NEON_DOTPROD, NEON_I8MM


def test_the_fastest_instruction_set_is_chosen_by_its_features():
    avx2 = {"sse2", "avx", "avx2"}
    assert fastest([]) is GENERIC
    assert fastest({"sse2"}) is GENERIC
    assert fastest(avx2) is AVX2
    assert fastest(avx2 | {"avxvnni"}) is AVX_VNNI
    assert fastest(avx2 | {"avx512f", "avx512bw"}) is AVX2  # without the dot product
    assert fastest(avx2 | AVX512_VNNI.features) is AVX512_VNNI
    assert fastest({"neon"}) is GENERIC
    assert fastest({"neon", "dotprod"}) is NEON_DOTPROD
    assert fastest({"neon", "dotprod", "i8mm"}) is NEON_I8MM
    assert instruction_set() in INSTRUCTION_SETS


TARGETS = {
    AVX512_VNNI: ("x86_64-linux-gnu", "x86-64", ("vpdpbusd", "zmm", "vpermt2b")),
    AVX_VNNI: ("x86_64-linux-gnu", "x86-64", ("vpdpbusd", "ymm")),
    AVX2: ("x86_64-linux-gnu", "x86-64", ("vpmaddwd", "ymm")),
    NEON_I8MM: ("aarch64-linux-gnu", "generic", ("usdot",)),
    NEON_DOTPROD: ("aarch64-linux-gnu", "generic", ("sdot",)),
    GENERIC: ("x86_64-linux-gnu", "x86-64", ("xmm",)),
}


@pytest.mark.parametrize("isa", INSTRUCTION_SETS, ids=lambda isa: isa.name)
@pytest.mark.parametrize("columns", [1, 4])
def test_the_tile_compiles_to_the_dot_product(isa, columns):
    """For processors other than this one too: LLVM needs no hardware to emit its code."""
    triple, cpu, expected = TARGETS[isa]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"LLVM was built without this target: {error}")
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * 8), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    Tile(builder, isa, columns, isa.rows[columns], *function.args).emit()
    builder.ret_void()
    features = ",".join(f"+{name}" for name in sorted(isa.features))
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3)
    code = machine.emit_assembly(llvm.parse_assembly(str(module)))
    assert all(word in code for word in expected)


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
