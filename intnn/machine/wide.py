"""Products of 64-bit words that need 128 bits."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intnn.machine.simd import I64

_I128 = ir.IntType(128)


@intrinsic
def high_word(_context: Any, _a: Any, _b: Any) -> Any:
    """The upper 64 bits of the product of two uint64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        product = builder.mul(*(builder.zext(word, _I128) for word in args))
        return builder.trunc(builder.lshr(product, _I128(64)), I64)

    return types.uint64(types.uint64, types.uint64), codegen
