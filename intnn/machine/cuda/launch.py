"""Kernels, compiled once, and with their arguments made ready to be started."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from numba import cuda

from intnn.machine.cuda.intrinsics import SIMULATED

THREADS = 8 if SIMULATED else 256  # a simulated thread is a thread of Python
BLOCKS = 2 if SIMULATED else 2048  # threads go on to further elements: this fills every GPU several times

Launch = Callable[[Any], object]  # starts a kernel, with its arguments, on a stream; 0 is the one that Numba uses


@cache
def compiled(kernel: Any) -> Any:
    """A kernel, compiled for the GPU at its first launch with arguments of their types."""
    return cuda.jit(kernel)


def bound(kernel: Any, grid: tuple[int, ...], threads: int | tuple[int, int], *arguments: Any) -> Launch:
    """Return what starts a kernel with these arguments, on so many blocks of so many threads."""

    def start(stream: Any) -> None:
        compiled(kernel)[grid, threads, stream](*arguments)

    return start


def shared_out(kernel: Any, size: int, *arguments: Any) -> Launch:
    """Return what starts a kernel whose threads share ``size`` elements."""
    return bound(kernel, (min(-(-size // THREADS), BLOCKS),), THREADS, *arguments)


def run(launches: Iterable[Launch], stream: Any = 0) -> None:
    """Start kernels one after the other."""
    for launch in launches:
        launch(stream)


def launch(kernel: Any, size: int, *arguments: Any) -> None:
    """Start a kernel whose threads share ``size`` elements."""
    shared_out(kernel, size, *arguments)(0)
