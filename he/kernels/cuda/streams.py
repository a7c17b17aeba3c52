"""SEAL's streams of random bytes on a GPU: one thread computes 64 bytes of them, without memory.

The instructions are those of the host's kernels, see `he.kernels.instructions.blake`; Numba's simulator computes with
plain integers.
"""

# ruff: noqa: ARG001  (an intrinsic's arguments are types, of which some say nothing)

from collections.abc import Callable, Sequence
from typing import Any

from he.kernels.instructions import blake
from intnn.machine.cuda.intrinsics import SIMULATED

Computed = Callable[[blake.Arithmetic, Sequence[Any], Any], list[Any]]  # from eight words and a number

if SIMULATED:

    def _from_eight(computed: Computed) -> Any:
        """Make the function (eight words, number) -> eight words."""
        on = blake.Integers()
        return lambda words, number: tuple(computed(on, [int(word) for word in words], int(number)))

else:
    from llvmlite import ir
    from numba import types, uint64
    from numba.cuda.extending import intrinsic

    WORD, EIGHT = ir.IntType(64), types.UniTuple(uint64, 8)

    def _from_eight(computed: Computed) -> Any:
        """Make the function (eight words, number) -> eight words."""

        @intrinsic
        def instructions(_context, words, number):  # type: ignore[no-untyped-def]
            def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
                given = [b.extract_value(args[0], i) for i in range(8)]
                result = ir.Constant(target.get_value_type(EIGHT), ir.Undefined)
                for i, word in enumerate(computed(blake.Emitted(b, WORD), given, args[1])):
                    result = b.insert_value(result, word, i)
                return result

            return EIGHT(EIGHT, uint64), codegen

        return instructions


root = _from_eight(blake.root)  # of the buffer of this number, from a seed
node = _from_eight(blake.node)  # of this number, 64 bytes of a buffer, from its root
