"""The instruction set is chosen by the features of the processor."""

from intnn.machine.host import INSTRUCTION_SETS, fastest, instruction_set
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
