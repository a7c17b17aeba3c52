import subprocess
from types import SimpleNamespace

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.cases import gpu_startup
from bench.report.gpu import summary
from he import compile_approximate
from he.engines.rns.engine import RnsEngine
from he.testing import square_graph
from intnn.machine.cuda import launch

MISSED = {"found": {}, "compiled": {"one form": 1, "another": 2}, "not asked for": {"one form": 1}}


def test_an_answer_takes_time():
    circuit = compile_approximate(square_graph(), images=1, security="insecure")
    assert 0 < gpu_startup.first_answer(RnsEngine(), circuit) < 60


def test_the_process_that_compiles_comes_first(monkeypatch):
    asked = []

    def process(*arguments):
        asked.append(arguments)
        return [(20.0, 26), (0.5, 0)][len(asked) - 1]

    monkeypatch.setattr(gpu_startup, "_process", process)
    assert summary(gpu_startup.row()) == (
        "a process's first answer, mnist-square-cnn, from the circuit on: 500,000.0 µs; "
        "kernels compiled: 20,000,000.0 µs, ratio 40.00"
    )
    assert asked == [(gpu_startup.COMPILE,), ()]


def test_a_process_that_compiles_again_measures_nothing(monkeypatch):
    monkeypatch.setattr(gpu_startup, "_process", lambda *_: (20.0, 26))
    with pytest.raises(ValueError, match="got 26 that were compiled again"):
        gpu_startup.row()


def test_kernels_that_are_compiled_are_counted(monkeypatch):
    """Once each, whatever is asked for how often; those that are found count for nothing."""
    kernels = {name: SimpleNamespace(stats=SimpleNamespace(cache_misses=missed)) for name, missed in MISSED.items()}
    monkeypatch.setattr(launch, "compiled", lambda name, _=None: kernels[name])
    monkeypatch.setattr(launch, "made_ready", lambda *_: None)
    before = launch.compiled
    with gpu_startup.kernels_used() as compiled:
        for name in ("found", "compiled", "compiled"):
            launch.bound(name, (1,), 32)
        assert compiled() == 3
    assert launch.compiled is before


def test_what_a_process_says_is_read(monkeypatch):
    said = SimpleNamespace(stdout="12.5 3\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert gpu_startup._process() == (12.5, 3)


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("arguments", [(), (gpu_startup.COMPILE,)])
def test_processes_get_as_far_as_the_gpu(arguments, capfd):
    with pytest.raises(subprocess.CalledProcessError):
        gpu_startup._process(*arguments)
    assert "NoDeviceError: there is no NVIDIA driver" in capfd.readouterr().err
