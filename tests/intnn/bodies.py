"""What a simulated thread runs: the functions of a kernel, without what Numba's simulator puts around them.

There, `cuda` in a function's module is replaced for as long as a call of it lasts, an access to an array goes through
two wrappers, and a number becomes a `uint64` by way of Numba's types: four fifths of the time. Here each launch has
copies of its functions, in which names mean at once what they mean to a thread.
"""

from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np
from numba import cuda, types
from numba.cuda.simulator.cudadrv.devicearray import FakeShape, FakeWithinKernelCUDAArray
from numba.cuda.simulator.kernel import FakeCUDAKernel
from numba.cuda.simulator.kernelapi import FakeCUDAModule


class Array(np.ndarray):
    """An array as kernels see it: its shape has no negative indices."""

    @property
    def shape(self) -> FakeShape:  # type: ignore[override]
        return FakeShape(super().shape)

    @property
    def _ary(self) -> "Array":  # where the simulator's arrays have their memory
        return self


class Bodies:
    """The functions of one launch."""

    def __init__(self, module: FakeCUDAModule) -> None:
        self._module = module
        self._names: dict[int, dict[str, Any]] = {}  # of modules, by the identity of what they have
        self._copies: dict[FunctionType, FunctionType] = {}

    def body(self, function: FunctionType, arguments: tuple[Any, ...]) -> Callable[[], None]:
        """A kernel of these arguments."""
        copy, given = self._copy(function), [_argument(one) for one in arguments]
        return lambda: copy(*given)

    def _copy(self, function: FunctionType) -> FunctionType:
        if function not in self._copies:
            closure = tuple(CellType(self._inside(cell.cell_contents)) for cell in function.__closure__ or ())
            self._copies[function] = FunctionType(
                function.__code__, self._names_of(function), function.__name__, function.__defaults__, closure
            )
        return self._copies[function]

    def _names_of(self, function: FunctionType) -> dict[str, Any]:
        names = self._names.get(id(function.__globals__))
        if names is None:
            names = self._names[id(function.__globals__)] = {}
            names |= {name: self._inside(value) for name, value in function.__globals__.items()}
        return names

    def _inside(self, value: Any) -> Any:
        """What a thread finds under a name."""
        if value is cuda:
            return self._module
        if isinstance(value, types.Number):
            return getattr(np, value.name)
        if isinstance(value, FakeCUDAKernel) and value._device:
            return self._copy(value.fn)
        return value


def _argument(value: Any) -> Any:
    return value._item._ary.view(Array) if isinstance(value, FakeWithinKernelCUDAArray) else value
