"""Kernels with their arguments, made ready once and started many times."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from intnn.machine.cuda.device import quiet
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import compiled

Launch = Callable[[], object]  # of a kernel, with its arguments


def bound(kernel: Any, grid: tuple[int, ...], threads: int, stream: Any, *arguments: Any) -> Launch:
    """Return what starts a kernel; a grid that does not fill a GPU is no mistake here."""
    if SIMULATED:  # where a kernel has one configuration at a time
        return lambda: compiled(kernel)[grid, threads, stream](*arguments)
    with quiet():
        return partial(compiled(kernel)[grid, threads, stream], *arguments)


def run(launches: Iterable[Launch]) -> None:
    """Start kernels one after the other."""
    for launch in launches:
        launch()


def captured(launches: Iterable[Launch], stream: Any) -> Launch:
    """Return what starts kernels by one call, as a CUDA graph; in the simulator, one after the other.

    Args:
        launches: The kernels, on this stream and with arguments that stay; each has run before, so that it is loaded.
        stream: The stream, on which nobody else works meanwhile.
    """
    if SIMULATED:
        return partial(run, launches)
    from cuda.core import Stream  # type: ignore[import-untyped]  # comes with the extra
    from numba import cuda

    core = Stream.from_handle(int(stream.handle))
    builder = core.create_graph_builder()
    with cuda.defer_cleanup():  # memory that is freed meanwhile, by the collector too, would end the capture
        builder.begin_building("thread_local")
        try:
            run(launches)
        finally:
            builder.end_building()
    return partial(builder.complete().launch, core)
