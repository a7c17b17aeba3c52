"""Kernels that are made ready and started later."""

import warnings

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
