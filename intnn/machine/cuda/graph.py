"""Kernels that are started again and again, always with the same arguments, as one CUDA graph.

Starting a kernel from Python takes tens of microseconds, whatever it does. A graph is started as a whole, by one call.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from intnn.machine.cuda.device import reported
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import Launch, run


class Repeated:
    """Starts kernels in order: the first time one by one, from the second time on as a graph.

    The first time loads them, and work that is done once needs no graph. Where no graph can be captured, a
    RuntimeWarning says why, and kernels go on being started one by one.

    Args:
        launches: What starts each kernel. Its arguments stay where they are: what changes is written into their memory.
        graph: Whether there may be a graph.
    """

    def __init__(self, launches: Sequence[Launch], *, graph: bool = True) -> None:
        self._launches, self._wants_graph = launches, graph
        self._has_run = False
        self._start: Launch = partial(run, launches)

    def __call__(self, stream: Any = 0) -> None:
        """Start them all on a stream.

        Raises:
            DeviceError: The GPU fails.
        """
        if self._has_run and self._wants_graph:
            self._wants_graph = False  # one that failed is not tried again
            try:
                with reported("capturing a graph"):
                    self._start = captured(self._launches)
            except (RuntimeError, ImportError) as error:  # of the GPU, or of a cuda-core that knows no graphs
                warnings.warn(f"kernels are started one by one: {error}", RuntimeWarning, stacklevel=2)
            except KeyboardInterrupt:
                self._wants_graph = True  # nothing has failed
                raise
        self._start(stream)
        self._has_run = True


def captured(launches: Sequence[Launch]) -> Launch:
    """Return what starts kernels by one call, as a CUDA graph; in the simulator, one after the other.

    Args:
        launches: What starts each kernel; all have run before, so that they are loaded.
    """
    if SIMULATED:
        return partial(run, launches)
    from cuda.core import Stream  # type: ignore[import-untyped]  # comes with the extra
    from numba import cuda

    with own_stream() as handle:
        core = Stream.from_handle(handle)
        builder = core.create_graph_builder()
        try:
            with cuda.defer_cleanup():  # memory that is freed meanwhile, by the collector too, would end the capture
                builder.begin_building("thread_local")
                try:
                    run(launches, core)
                except BaseException:
                    with suppress(Exception):  # cuda-core refuses where the driver has invalidated the capture
                        builder.end_building()
                    raise
                builder.end_building()
                graph = builder.complete()
        finally:
            with suppress(Exception):  # the same: it ends the capture, and raises what has been raised already
                builder.close()
            del builder  # which may ask the driver of its stream once more, and so goes before that does
    return lambda stream: graph.launch(Stream.from_handle(int(getattr(stream, "handle", 0))))


@contextmanager
def own_stream() -> Iterator[int]:
    """A stream that nobody else knows, by its handle.

    It does not wait for CUDA's default stream, nor that one for it. So other threads may use the default stream while
    kernels are captured on this one; on one of Numba's they would end the capture, and fail.
    """
    from numba.cuda.cudadrv.driver import binding, driver

    handle = driver.cuStreamCreate(binding.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
    try:
        yield int(handle)
    finally:
        driver.cuStreamDestroy(handle)
