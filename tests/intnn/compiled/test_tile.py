"""The register tile: its instructions are found in the machine code of every instruction set."""

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from intnn.compiled.tile import Tile
from intnn.machine.host import INSTRUCTION_SETS
from intnn.machine.simd import I64
from intnn.machine.simd_avx2 import AVX2, AVX_VNNI
from intnn.machine.simd_avx512 import AVX512_VNNI
from intnn.machine.simd_generic import GENERIC
from intnn.machine.simd_neon import NEON_DOTPROD, NEON_I8MM

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
