"""Memory by its address: how compiled functions make arrays and stack memory of numbers."""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intnn.machine.jit import compiled
from intnn.machine.simd import I8, I64
from intnn.values.arrays import Array

STACK_BYTES = 8192


@intrinsic
def pointer(_context: Any, address: Any) -> Any:
    """A pointer to the address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.PointerType())

    return types.voidptr(address), codegen


@compiled
def unsigned_bytes(address: int, size: int) -> Array:
    """The memory at an address as an array of ``size`` uint8."""
    return numba.carray(pointer(address), size, np.uint8)


@compiled
def signed_bytes(address: int, size: int) -> Array:
    """The memory at an address as an array of ``size`` int8."""
    return numba.carray(pointer(address), size, np.int8)


@compiled
def int32s(address: int, size: int) -> Array:
    """The memory at an address as an array of ``size`` int32."""
    return numba.carray(pointer(address), size, np.int32)


@compiled
def words(address: int, size: int) -> Array:
    """The memory at an address as an array of ``size`` uint64."""
    return numba.carray(pointer(address), size, np.uint64)


@intrinsic
def stack_address(_context: Any) -> Any:
    """The address of STACK_BYTES bytes, on a cache line's edge, that live until the calling function returns."""

    def codegen(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        with builder.goto_entry_block():
            memory = builder.alloca(I8, size=I64(STACK_BYTES))
        memory.align = 64
        return builder.ptrtoint(memory, I64)

    return types.int64(), codegen
