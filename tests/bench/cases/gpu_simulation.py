"""Runs what `make gpu` times of encrypted work in Numba's simulator, on rings as small as the CPU's kernels allow.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bench.cases import gpu_circuits, gpu_heads, gpu_operations
from bench.cases.gpu_operations import OPERATIONS, ROTATION, Both
from bench.tables.gpus import gpu
from he import compile_approximate
from he.compiler import search
from he.engines.cuda.engine import CudaEvaluator
from he.ring import params
from he.ring.params import Parameters
from he.ring.scheme import Scheme
from he.training.head import Descent
from he.training.plan import HeadPlan
from intnn import Activation, Dense, Graph
from tests.intnn.cuda_simulation import prepare

N = 64
SHEET = gpu("H200")


def parameters(scheme, ring=N):
    numbers = {"plain_modulus": 257} if scheme.exact else {"scale_bits": 30}
    return Parameters(scheme, ring, (40, 40, 44), security="insecure", **numbers)


def operations():
    """Operations on ciphertexts have the CPU's bits, and are timed with inputs that were there before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_operations, "parameters_of", parameters)
        works = list(gpu_operations.workloads(N, 2))
        agree = [check() for _, check in gpu_operations.checks(N, 2)]
    results = [timed.ours() for timed in works[1:]]
    return (
        [timed.work.split(",")[0] for timed in works] == ["NTT", "rotation", "product", "product"]
        and results == [[]] * 3  # which stay on the GPU
        and all(len(timed.peer()) == 2 for timed in works[1:])
        and agree == [True] * (1 + len(OPERATIONS))
    )


def operations_that_differ():
    """A wrong bit is seen."""
    both = Both(ROTATION, parameters(Scheme.CKKS), 2)
    right = both.on_host
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(both, "on_host", lambda: [x + np.uint64(i == 1) for i, x in enumerate(right())])
        return not both.agree()


def little_graph():
    """One unit of three inputs, squared."""
    return Graph((3,), (Dense(np.ones((1, 3)), np.zeros(1)), Activation("square")))


def circuits():
    """A session by both ways to start kernels, with the floor and all parts of each."""
    circuit = compile_approximate(little_graph(), images=1, security="insecure")
    rows = list(gpu_circuits.circuit_rows("squares", circuit, 1, SHEET, answers=1))
    parts = ["opening", "copying in", "kernels", "copying out", "packing"]
    return (
        [row.work for row in rows] == ["squares, 1 image, N = 64", "squares, 1 image, N = 64, kernels one by one"]
        and all(list(row.parts_us) == parts and row.count == 1 and row.floor_us > 0 for row in rows)
        and all(row.ratio == row.peer_us / row.ours_us and row.parts_us["kernels"] > 0 for row in rows)
    )


def circuits_that_differ():
    """An answer with another byte is refused before anything is timed."""
    circuit, right = compile_approximate(little_graph(), images=1, security="insecure"), CudaEvaluator.evaluate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CudaEvaluator, "evaluate", lambda *given: [right(*given)[0][::-1]])
        with pytest.raises(ValueError, match="the answers of squares differ"):
            next(gpu_circuits.circuit_rows("squares", circuit, 1, None, answers=1))
    return True


def plan():
    """Of one step on a few samples."""
    return HeadPlan(8, 2, gpu_heads.CLASSES, Descent(1, 2.5), security="insecure", ring_degree=N)


def heads():
    """A head of both engines, with what its parts take."""
    row = gpu_heads.head_row("head", plan(), 1)
    return list(row.parts_us) == ["keys", "reading", "steps"] and sum(row.parts_us.values()) == pytest.approx(
        row.ours_us
    )


def heads_that_differ():
    """A head with another byte is refused."""

    def trainer(*_, engine):
        head = SimpleNamespace(to_bytes=engine.encode)
        return SimpleNamespace(add=lambda _: None, fit=lambda: head)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_heads, "Trainer", trainer)
        with pytest.raises(ValueError, match="the head differs"):
            gpu_heads.head_row("head", plan(), 1)
    return True


CHECKS = [operations, operations_that_differ, circuits, circuits_that_differ, heads, heads_that_differ]

if __name__ == "__main__":
    params.RING_DEGREES = (N, *params.RING_DEGREES)
    search.ALL_RING_DEGREES = (N, *search.ALL_RING_DEGREES)
    prepare()
    print(json.dumps({check.__name__: check() for check in CHECKS}))
