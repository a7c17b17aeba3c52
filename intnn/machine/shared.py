"""Functions of numbers that are compiled once and called by others, in place of a copy within each of them.

Numba compiles what a function calls into it, down to the last instruction: a transform of some thousand instructions is
then optimised anew for every kernel that transforms something. A shared function is a symbol instead, which the linker
finds when a kernel that calls it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc

from intnn.machine.emit import emitted
from intnn.machine.jit import before_any_kernel
from intnn.machine.kept import KeptFunction
from intnn.machine.simd import I64, Builder, Value


def shared(function: Callable[..., None]) -> Any:
    """``function``, whose parameters are all int64, as something that compiled functions call with a tuple of them.

    It is compiled, or taken from the disk, before the first kernel of a process is. It must not fail: nobody would hear
    of it. Keep the result in a module's global, see `emitted`.
    """
    count = len(signature(function).parameters)
    numbers = (types.int64,) * count
    symbol = f"{function.__module__}.{function.__qualname__}"
    kind = ir.FunctionType(ir.VoidType(), [I64] * count)

    def ready() -> None:
        options = {"nopython": True, "nogil": True}
        result: Any = CFunc(function, (numbers, types.void), locals={}, options=options)
        result._cache = KeptFunction(function)
        result.compile()
        llvmlite.binding.add_symbol(symbol, result.address)
        kept.append(result)

    def emit(builder: Builder, *numbers: Value) -> None:
        callee = builder.module.globals.get(symbol) or ir.Function(builder.module, kind, symbol)
        builder.call(callee, [n if n.type == I64 else builder.zext(n, I64) for n in numbers])

    kept: list[CFunc] = []  # its machine code lives as long as it
    before_any_kernel(ready)
    return emitted(emit)
