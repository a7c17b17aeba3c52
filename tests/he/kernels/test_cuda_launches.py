"""Kernels that are made ready and started later."""

import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from he.kernels.cuda import launches


class Kernel:
    """What a kernel looks like to whoever starts it."""

    def __init__(self, log):
        self.log = log

    def __getitem__(self, configuration):
        warnings.warn("\x1b[1mGrid size 1 will likely result in GPU under-utilization", stacklevel=2)
        return lambda *arguments: self.log.append((configuration, arguments))


def test_a_small_grid_is_no_mistake_and_nothing_runs_before_it_is_asked_for(monkeypatch):
    log = []
    monkeypatch.setattr(launches, "compiled", lambda kernel: kernel)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [launches.bound(Kernel(log), (1, n), 32, 7, n, "x") for n in (1, 2)]
    assert not log
    launches.run(found)
    assert log == [(((1, n), 32, 7), (n, "x")) for n in (1, 2)]


class Stream:
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
    yield
    log.append("freed")


def test_a_graph_is_captured_once_and_started_by_one_call(monkeypatch):
    log = []
    core, stream = Stream(log), SimpleNamespace(handle=5)
    monkeypatch.setattr("cuda.core.Stream", SimpleNamespace(from_handle=lambda handle: log.append(handle) or core))
    monkeypatch.setattr("numba.cuda.defer_cleanup", lambda: cleanup(log))
    start = launches.captured([lambda: log.append("first"), lambda: log.append("second")], stream)
    built = ["create_graph_builder"], ["begin_building", "thread_local"], ["end_building"], ["complete"]
    opened, begun, ended, completed = map(tuple, built)
    assert log == [5, opened, "nothing is freed", begun, "first", "second", ended, "freed", completed]
    start()
    start()
    assert log[9:] == [("launch",)] * 2
