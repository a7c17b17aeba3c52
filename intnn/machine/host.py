"""The instruction set of the processor that Numba compiles for."""

from collections.abc import Iterable
from functools import cache

import llvmlite.binding as llvm
from numba.core import config

from intnn.machine.simd import InstructionSet
from intnn.machine.simd_avx2 import AVX2, AVX_VNNI
from intnn.machine.simd_avx512 import AVX512_VNNI
from intnn.machine.simd_generic import GENERIC
from intnn.machine.simd_neon import NEON_DOTPROD, NEON_I8MM

INSTRUCTION_SETS = (AVX512_VNNI, AVX_VNNI, AVX2, NEON_I8MM, NEON_DOTPROD, GENERIC)  # fastest first


@cache
def features() -> frozenset[str]:
    """LLVM's names of the features of the processor that Numba compiles for.

    Numba's own variable NUMBA_CPU_FEATURES ("+avx2,...") stands for another processor, here as in Numba's compiler.
    """
    if config.CPU_FEATURES is None:
        return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)
    return frozenset(name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+"))


@cache
def instruction_set() -> InstructionSet:
    """The fastest instruction set that the processor has."""
    return fastest(features())


def fastest(features: Iterable[str]) -> InstructionSet:
    """The fastest instruction set that needs no features but these, which have LLVM's names."""
    present = frozenset(features)
    return next(choice for choice in INSTRUCTION_SETS if choice.features <= present)
