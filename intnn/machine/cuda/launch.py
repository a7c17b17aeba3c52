"""Kernels whose threads share elements, compiled once and launched on as many threads as there is work for."""

from functools import cache
from typing import Any

from numba import cuda

from intnn.machine.cuda.intrinsics import SIMULATED

THREADS = 8 if SIMULATED else 256  # a simulated thread is a thread of Python
BLOCKS = 2 if SIMULATED else 2048  # threads go on to further elements: this fills every GPU several times


@cache
def compiled(kernel: Any) -> Any:
    """A kernel, compiled for the GPU at its first launch with arguments of their types."""
    return cuda.jit(kernel)


def launch(kernel: Any, size: int, *arguments: Any) -> None:
    """Run a kernel whose threads share ``size`` elements."""
    compiled(kernel)[min(-(-size // THREADS), BLOCKS), THREADS](*arguments)
