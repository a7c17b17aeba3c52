"""Kernels, compiled once, and with their arguments made ready to be started."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import prod
from typing import Any

from numba import cuda

from intnn.machine.cuda.device import MOST_BLOCKS, MOST_THREADS, DeviceError
from intnn.machine.cuda.intrinsics import SIMULATED

THREADS = 8 if SIMULATED else 256  # a simulated thread is a thread of Python
BLOCKS = 2 if SIMULATED else 2048  # threads go on to further elements: this fills every GPU several times

UNASKED = 48 * 1024  # bytes of shared memory that every GPU gives a block

Launch = Callable[[Any], object]  # starts a kernel, with its arguments, on a stream; 0 is the one that Numba uses


@cache
def compiled(kernel: Any, most_threads: int | None = None) -> Any:
    """A kernel, compiled for the GPU at its first launch with arguments of their types, or taken from the disk.

    Args:
        kernel: The function.
        most_threads: The threads of a block, which then get no more registers than there are for so many.
    """
    if SIMULATED:
        return cuda.jit(kernel)
    from intnn.machine.cuda.kept import keep  # which the simulator does not have

    result = cuda.jit(launch_bounds=most_threads)(kernel)
    keep(result)
    return result


def bound(
    kernel: Any, grid: tuple[int, ...], threads: int | tuple[int, int], *arguments: Any, shared: int | None = None
) -> Launch:
    """Return what starts a kernel with these arguments, on so many blocks of so many threads.

    The kernel is compiled now, and loaded on the GPU in use.

    Args:
        kernel: The function.
        grid: The blocks along each axis.
        threads: The threads of a block, along one or two axes.
        arguments: What the kernel is called with; arrays stay where they are.
        shared: The bytes of shared memory that a block is given besides what the kernel declares. Such a kernel has one
            axis of threads, and is compiled for so many.

    Raises:
        DeviceError: No GPU starts so many blocks, or blocks of so many threads.
    """
    _require_startable(grid, threads)
    if SIMULATED:
        return lambda stream: compiled(kernel)[grid, threads, stream, shared or 0](*arguments)
    return made_ready(compiled(kernel, threads if shared else None), grid, threads, arguments, shared or 0)


def made_ready(kernel: Any, grid: Any, threads: Any, arguments: tuple[Any, ...], shared: int) -> Launch:
    """Do once what Numba does at every launch: what is left takes 10 µs in place of 100."""
    from cuda.core import LaunchConfig, launch  # type: ignore[import-untyped]  # comes with the extra
    from numba.cuda.cudadrv.driver import _to_core_stream, binding, driver

    version = kernel.compile(tuple(map(kernel.typeof_pyval, arguments)))
    loaded = version._codelibrary.get_cufunc()
    if shared > UNASKED:
        attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        driver.cuKernelSetAttribute(attribute, shared, loaded.handle, loaded.device.id)
    words: list[Any] = []
    for kind, argument in zip(version.argument_types, arguments, strict=True):
        version._prepare_args(kind, argument, 0, [], words)
    block = threads if isinstance(threads, tuple) else (threads,)
    config = LaunchConfig(grid=_three(grid), block=_three(block), shmem_size=shared)

    def start(stream: Any, _kept: Any = arguments) -> None:  # arrays live as long as their addresses are here
        launch(_to_core_stream(stream), config, loaded.kernel, *words)

    return start


def parts(count: int) -> Iterator[slice]:
    """Divide what takes a block each along a grid's second or third axis into as few launches as there can be."""
    most = MOST_BLOCKS[1]
    return (slice(first, min(first + most, count)) for first in range(0, count, most))


def _require_startable(grid: tuple[int, ...], threads: int | tuple[int, int]) -> None:
    """Check what the driver would call an invalid value, and what a simulator would do all the same."""
    together = prod(threads) if isinstance(threads, tuple) else threads
    if not all(1 <= blocks <= most for blocks, most in zip(grid, MOST_BLOCKS, strict=False)):
        raise DeviceError(f"a grid has 1 to {' x '.join(map(str, MOST_BLOCKS))} blocks, got {grid}")
    if not 1 <= together <= MOST_THREADS:
        raise DeviceError(f"a block has 1 to {MOST_THREADS} threads, got {threads}")


def _three(axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*axes, *(1,) * (3 - len(axes)))


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
