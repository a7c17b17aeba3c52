"""The backend "cuda" against numpy's, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import ast
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from intnn import Dense, DeviceError, IntDomain, IntNetwork
from tests.cuda import simulated

SOURCE = ast.parse((Path(__file__).parent / "simulation.py").read_text(encoding="utf-8"))
(CHECKS,) = [node.value for node in SOURCE.body if isinstance(node, ast.Assign) and node.targets[0].id == "CHECKS"]
NAMES = [name.id for name in CHECKS.elts]


@pytest.fixture(scope="module")
def outcomes():
    return simulated("tests.intnn.device.simulation")


def test_every_check_was_made(outcomes):
    assert list(outcomes) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_in_the_simulator(outcomes, name):
    assert outcomes[name] is True, outcomes[name]


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_error_says_what_is_missing():
    network = IntNetwork((2,), IntDomain(0, 3), (Dense([[1, 2]], [0]),))
    with pytest.raises(DeviceError, match="NVIDIA driver"):
        network.logits([[1, 2]], "cuda")
    assert np.array_equal(network.logits([[1, 2]]), [[5]])
