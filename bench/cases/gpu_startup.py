"""What a fresh process waits for until a GPU has answered: with kernels to compile, and with those on the disk."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.cases.gpu_residues import random_keys, random_request
from bench.report.gpu import GpuRow
from he import Circuit, compile_approximate
from he.engines.engine import Engine
from intnn.machine.cuda import launch
from intnn.network.graph import Graph
from plaintext_models.zoo import shipped

MODEL = "mnist-square-cnn"
COMPILE = "--compile"


def row() -> GpuRow:
    """The seconds of a process that finds its kernels on the disk, beside those of one that does not look there.

    Raises:
        ValueError: It did not find them all.
    """
    (compiling, _), (finding, compiled) = _process(COMPILE), _process()  # in this order: the first one's are kept
    if compiled:
        raise ValueError(
            f"all kernels must be on the disk after a process that compiled them, got {compiled} that were compiled "
            "again: no folder for them may be written to, or files have times that are still to come"
        )
    return GpuRow(
        work=f"a process's first answer, {MODEL}, from the circuit on",
        ours_us=1e6 * finding,
        peer="kernels compiled",
        peer_us=1e6 * compiling,
        ratio=compiling / finding,
    )


def first_answer(engine: Engine, circuit: Circuit) -> float:
    """The seconds in which an engine prepares a circuit, binds keys and answers a request; all of them random."""
    rng = np.random.default_rng(0)
    keys, request = random_keys(circuit, rng), random_request(circuit, rng)
    start = time.perf_counter()
    engine.prepare(circuit).bind(keys).evaluate(request)
    return time.perf_counter() - start


@contextmanager
def kernels_used() -> Iterator[Callable[[], int]]:
    """Give what tells how many forms have been compiled of all kernels that are asked for meanwhile."""
    given, used = launch.compiled, dict[int, Any]()

    def compiled(*arguments: Any) -> Any:
        kernel = given(*arguments)
        used[id(kernel)] = kernel
        return kernel

    with patch.object(launch, "compiled", compiled):
        yield lambda: sum(sum(kernel.stats.cache_misses.values()) for kernel in used.values())


def _process(*arguments: str) -> tuple[float, int]:
    """The seconds of a process, and the kernels that it compiled."""
    command = [sys.executable, "-m", __name__, *arguments]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own
    seconds, compiled = said.split()
    return float(seconds), int(compiled)


def _main(compiles: bool) -> None:
    from he.engines.cuda.engine import CudaEngine
    from intnn.machine.cuda.kept import KeptKernel

    model = shipped.load(MODEL)
    assert isinstance(model, Graph)
    circuit = compile_approximate(model, images=1, packing="latency")
    looking = patch.object(KeptKernel, "load_overload", return_value=None) if compiles else nullcontext()
    with looking, kernels_used() as compiled:
        print(first_answer(CudaEngine(), circuit), compiled())


if __name__ == "__main__":
    _main(compiles=COMPILE in sys.argv)
