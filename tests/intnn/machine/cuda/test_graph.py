"""Kernels that are made ready and started later, alone and as a graph, without a GPU."""

import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba.cuda.cudadrv import driver

from intnn.machine.cuda import graph, launch
from intnn.machine.cuda.device import DeviceError
from intnn.machine.cuda.graph import Repeated


class Kernel:
    """What a kernel looks like to whoever starts it."""

    def __init__(self, log):
        self.log = log

    def __getitem__(self, configuration):
        return lambda *arguments: self.log.append((configuration, arguments))


def unprepared(kernel, grid, threads, arguments, _shared):
    return lambda stream: kernel[grid, threads, stream](*arguments)


class Driver:
    """Numba's driver and its compiler, as far as a launch is made ready by them."""

    def __init__(self, monkeypatch):
        self.asked, self.started = [], []
        attributes = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared")
        monkeypatch.setattr(driver, "binding", SimpleNamespace(CUfunction_attribute=attributes))
        monkeypatch.setattr(driver, "driver", SimpleNamespace(cuKernelSetAttribute=lambda *a: self.asked.append(a)))
        monkeypatch.setattr(driver, "_to_core_stream", lambda stream: f"stream {stream}")
        monkeypatch.setattr("cuda.core.LaunchConfig", SimpleNamespace)
        monkeypatch.setattr("cuda.core.launch", lambda *a: self.started.append(a))

    def typeof_pyval(self, value):
        return type(value)

    def compile(self, types):
        self.asked.append(types)
        self.argument_types, self._codelibrary = types, self
        return self

    def get_cufunc(self):
        return SimpleNamespace(handle=3, device=SimpleNamespace(id=0), kernel="code")

    def _prepare_args(self, kind, value, _stream, _written, words):
        assert kind is type(value)
        words.extend((value, 0) if kind is str else (value,))


@pytest.mark.parametrize("shared", [0, launch.UNASKED, launch.UNASKED + 1])
def test_arguments_are_made_ready_once(monkeypatch, shared):
    fake = Driver(monkeypatch)
    start = launch.made_ready(fake, (4,), 32, ("x", 5), shared)
    assert fake.asked == [(str, int), *([("shared", shared, 3, 0)] if shared > launch.UNASKED else [])]
    asked = len(fake.asked)
    for stream in (0, 7):
        start(stream)
    config = SimpleNamespace(grid=(4, 1, 1), block=(32, 1, 1), shmem_size=shared)
    assert fake.started == [(f"stream {stream}", config, "code", "x", 0, 5) for stream in (0, 7)]
    assert len(fake.asked) == asked


def test_a_kernel_with_more_shared_memory_is_compiled_for_its_threads(monkeypatch):
    found = []
    monkeypatch.setattr(launch, "compiled", lambda *a: a)
    monkeypatch.setattr(launch, "made_ready", lambda *a: found.append(a))
    launch.bound("kernel", (1,), 96, "x", shared=5)
    launch.bound("kernel", (1,), 96, "x")
    assert found == [(("kernel", 96), (1,), 96, ("x",), 5), (("kernel", None), (1,), 96, ("x",), 0)]


def test_nothing_runs_before_it_is_asked_for(monkeypatch):
    log = []
    monkeypatch.setattr(launch, "compiled", lambda kernel, _threads: kernel)
    monkeypatch.setattr(launch, "made_ready", unprepared)
    found = [launch.bound(Kernel(log), (1, n), 32, n, "x") for n in (1, 2)]
    assert not log
    launch.run(found, 7)
    assert log == [(((1, n), 32, 7), (n, "x")) for n in (1, 2)]


def test_threads_share_elements_out(monkeypatch):
    log = []
    monkeypatch.setattr(launch, "compiled", lambda kernel, _threads: kernel)
    monkeypatch.setattr(launch, "made_ready", unprepared)
    for size in (1, launch.THREADS, launch.THREADS + 1, 1 << 40):
        launch.launch(Kernel(log), size, size)
    assert log == [
        (((blocks,), launch.THREADS, 0), (size,))
        for size, blocks in (
            (1, 1), (launch.THREADS, 1), (launch.THREADS + 1, 2), (1 << 40, launch.BLOCKS)
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "threads", "said"),
    [
        ((1 << 31,), 32, r"a grid has 1 to 2147483647 x 65535 x 65535 blocks, got \(2147483648,\)"),
        ((1, 1 << 16), 32, "a grid has"),
        ((1, 1, 1 << 16), 32, "a grid has"),
        ((1, 0), 32, "a grid has"),
        ((1,), 1025, "a block has 1 to 1024 threads, got 1025"),
        ((1,), (33, 32), r"a block has 1 to 1024 threads, got \(33, 32\)"),
    ],
)
@pytest.mark.parametrize("simulated", [True, False])
def test_what_no_gpu_starts_is_refused_and_so_by_the_simulator(monkeypatch, grid, threads, said, simulated):
    monkeypatch.setattr(launch, "SIMULATED", simulated)
    monkeypatch.setattr(launch, "compiled", lambda kernel, *_: kernel)
    monkeypatch.setattr(launch, "made_ready", unprepared)
    with pytest.raises(DeviceError, match=said):
        launch.bound(Kernel([]), grid, threads)
    assert launch.bound(Kernel([]), ((1 << 31) - 1, 65535, 65535), (32, 32))


def test_parts_are_as_few_as_a_grid_has_lines_for():
    found = [*launch.parts(2 * 65535 + 1)]
    assert [part.stop - part.start for part in found] == [65535, 65535, 1]
    assert [part.start for part in found] == [0, 65535, 2 * 65535]
    assert not [*launch.parts(0)]


class Asked:
    """A stream, its graph's builder, and the graph: what they are asked, in order."""

    def __init__(self, log):
        self.log = log

    def __getattr__(self, name):
        def asked(*arguments):
            self.log.append((name, *(a for a in arguments if a is not self)))
            return self

        return asked


@contextmanager
def cleanup(log):
    log.append("nothing is freed")
    try:
        yield
    finally:
        log.append("freed")


@pytest.fixture
def log(monkeypatch):
    """What is asked of the driver while a graph is captured, in order."""
    log = []
    core, streams = Asked(log), SimpleNamespace(from_handle=lambda handle: log.append(handle) or core)
    non_blocking = driver.binding.CUstream_flags.CU_STREAM_NON_BLOCKING.value
    calls = SimpleNamespace(
        cuStreamCreate=lambda flags: log.append("made") or {non_blocking: 5}[flags],
        cuStreamDestroy=lambda handle: log.append(("destroyed", handle)),
    )
    monkeypatch.setattr("cuda.core.Stream", streams)
    monkeypatch.setattr("numba.cuda.defer_cleanup", lambda: cleanup(log))
    monkeypatch.setattr(driver, "driver", calls)
    return log


BEFORE = ["made", 5, ("create_graph_builder",), "nothing is freed", ("begin_building", "thread_local")]


def test_a_graph_is_captured_on_a_stream_of_its_own_and_started_on_any(log):
    start = graph.captured([lambda _: log.append("first"), lambda _: log.append("second")])
    ended = ("end_building",), ("complete",), "freed", ("close",), ("destroyed", 5)
    assert log == [*BEFORE, "first", "second", *ended]
    log.clear()
    start(0)
    start(SimpleNamespace(handle=9))
    assert log == [0, ("launch",), 9, ("launch",)]


def test_a_capture_that_fails_ends_and_leaves_nothing(log):
    def fails(_):
        raise RuntimeError("this kernel is lost")

    with pytest.raises(RuntimeError, match="lost"):
        graph.captured([fails])
    assert log == [*BEFORE, ("end_building",), "freed", ("close",), ("destroyed", 5)]


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), RuntimeError("this kernel is lost"), None])
def test_a_capture_that_the_driver_has_invalidated_says_why_and_ends_before_its_stream(log, error):
    class Builder:
        """One of cuda-core's: what it asks in the end, and once more when it goes, is of its stream."""

        def begin_building(self, _):
            log.append("begun")

        @staticmethod
        def end_building():  # whose frame holds no builder, as those of a compiled module do not
            raise RuntimeError("Build process encountered an error and has been invalidated")

        def close(self):
            log.append("ended")
            raise CUDAError("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")

        def __del__(self):
            log.append("gone")

    def invalidates(_):
        if error:
            raise error

    core = SimpleNamespace(create_graph_builder=Builder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cuda.core.Stream", SimpleNamespace(from_handle=lambda _: core))
        with pytest.raises(type(error or RuntimeError()), match=str(error or "has been invalidated")):
            graph.captured([invalidates])
    assert log == ["made", "nothing is freed", "begun", "freed", "ended", "gone", ("destroyed", 5)]


def test_what_is_repeated_is_captured_the_second_time_and_once(monkeypatch):
    log, captures = [], []

    def captured(launches):
        captures.append(launches)
        return lambda stream: log.append(("graph", stream))

    monkeypatch.setattr(graph, "captured", captured)
    launches = [lambda stream: log.append((1, stream)), lambda stream: log.append((2, stream))]
    start = Repeated(launches)
    start("s")
    assert not captures
    start("t")
    start()
    assert captures == [launches]
    assert log == [(1, "s"), (2, "s"), ("graph", "t"), ("graph", 0)]


def test_who_wants_no_graph_gets_none(monkeypatch):
    monkeypatch.setattr(graph, "captured", None)
    log = []
    start = Repeated([log.append], graph=False)
    for stream in range(3):
        start(stream)
    assert log == [0, 1, 2]


def test_a_first_time_that_fails_is_tried_again_before_anything_is_captured(monkeypatch):
    monkeypatch.setattr(graph, "captured", lambda launches: launches[0])
    times = []

    def fails_at_first(stream):
        times.append(stream)
        if len(times) == 1:
            raise RuntimeError("too little memory to load a kernel")

    start = Repeated([fails_at_first])
    with pytest.raises(RuntimeError, match="too little"):
        start()
    assert not start._has_run
    start()
    assert start._has_run


def test_a_capture_that_is_interrupted_is_tried_again(monkeypatch):
    log, captures = [], []

    def interrupted(launches):
        captures.append(launches)
        if len(captures) == 1:
            raise KeyboardInterrupt
        return lambda stream: log.append(("graph", stream))

    monkeypatch.setattr(graph, "captured", interrupted)
    start = Repeated([log.append])
    start(1)
    with pytest.raises(KeyboardInterrupt):
        start(2)
    start(3)
    assert log == [1, ("graph", 3)]


class CUDAError(Exception):
    """What cuda.core calls what its driver raises."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CUDAError("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"), "capturing a graph: CUDA_ERROR_STREAM_CAPTURE"),
        (ImportError("cannot import name 'Stream'"), "cannot import name 'Stream'"),
    ],
)
def test_a_capture_that_fails_is_a_warning_and_happens_once(monkeypatch, error, said):
    captures, log = [], []

    def refused(launches):
        captures.append(launches)
        raise error

    monkeypatch.setattr(graph, "captured", refused)
    start = Repeated([log.append])
    start(1)
    with pytest.warns(RuntimeWarning, match=f"started one by one: {said}"):
        start(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(3)
    assert log == [1, 2, 3]
    assert len(captures) == 1
