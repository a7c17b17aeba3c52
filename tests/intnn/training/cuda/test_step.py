"""Training on a GPU against its definition, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from intnn import DeviceError, IntClassifier
from tests.cuda import checks_of, simulated

MODULE = "tests.intnn.training.cuda.simulation"
NAMES = checks_of(MODULE)


def test_steps_are_bit_equal_to_the_definition():
    outcomes = simulated("tests.intnn.cuda_simulation", "training")
    kinds, units = ("dense", "convolutional"), ("mma.sync", "wgmma")
    assert outcomes == {f"training steps, {kind}, {unit}": True for unit in units for kind in kinds}


@pytest.fixture(scope="module")
def outcomes():
    return simulated(MODULE)


def test_every_check_was_made(outcomes):
    assert list(outcomes) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_in_the_simulator(outcomes, name):
    assert outcomes[name] is True, outcomes[name]


@pytest.mark.skipif(cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_error_says_what_is_missing():
    with pytest.raises(DeviceError, match="NVIDIA driver"):
        IntClassifier((2,), backend="cuda").fit(np.eye(4, dtype=int), [0, 1, 0, 1])
