"""From a function that emits LLVM instructions to one that compiled functions call."""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from intnn.machine.simd import Builder, Value


def emitted(emit: Callable[..., None]) -> Any:
    """A Numba function of a tuple of int64, whose instructions ``emit(builder, *numbers)`` writes.

    Keep the result in a module's global: only so does Numba's cache on disk find the functions that use it.
    """

    def typing(_context: Any, numbers: Any) -> Any:
        def codegen(context: Any, builder: Builder, _signature: Any, args: Any) -> Value:
            emit(builder, *cgutils.unpack_tuple(builder, args[0]))
            return context.get_dummy_value()

        return types.void(numbers), codegen

    return intrinsic(typing)
