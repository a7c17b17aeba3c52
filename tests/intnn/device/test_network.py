"""The backend "cuda" against numpy's, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from numba import cuda

from intnn import Dense, DeviceError, IntDomain, IntNetwork
from tests.cuda import checks_of, simulated

MODULES = "tests.intnn.device.simulation", "tests.intnn.device.threads_simulation"
NAMES = [name for module in MODULES for name in checks_of(module)]


@pytest.fixture(scope="module")
def outcomes():
    return {name: outcome for module in MODULES for name, outcome in simulated(module).items()}


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
