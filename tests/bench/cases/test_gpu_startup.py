import subprocess

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from bench.cases import gpu_startup
from bench.report.gpu import summary
from he import compile_approximate
from he.engines.rns.engine import RnsEngine
from he.testing import square_graph


def test_an_answer_takes_time():
    circuit = compile_approximate(square_graph(), images=1, security="insecure")
    assert 0 < gpu_startup.first_answer(RnsEngine(), circuit) < 60


def test_the_process_that_compiles_comes_first(monkeypatch):
    asked = []

    def process(*arguments):
        asked.append(arguments)
        return [20.0, 0.5][len(asked) - 1]

    monkeypatch.setattr(gpu_startup, "_process", process)
    assert summary(gpu_startup.row()) == (
        "a process's first answer, mnist-square-cnn, from the circuit on: 500,000.0 µs; "
        "kernels compiled: 20,000,000.0 µs, ratio 40.00"
    )
    assert asked == [(gpu_startup.COMPILE,), ()]


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("arguments", [(), (gpu_startup.COMPILE,)])
def test_processes_get_as_far_as_the_gpu(arguments, capfd):
    with pytest.raises(subprocess.CalledProcessError):
        gpu_startup._process(*arguments)
    assert "NoDeviceError: there is no NVIDIA driver" in capfd.readouterr().err
