"""The CUDA kernels of layers against their definitions, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import pytest

from tests.cuda import simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

UNITS = ("dp4a", "mma.sync, 32 x 64, 3 stages", "mma.sync, 16 x 64, 2 stages")
NAMES = [f"{kind}, {unit}" for unit in UNITS for kind in ("dense", "conv2d and table")] + ["lookup", "network"]
NAMES += [f"{kind}, wgmma, 64 x 64, 3 stages" for kind in ("dense", "dense and table", "edges")]


@pytest.fixture(scope="module")
def outcomes():
    return simulated("tests.intnn.cuda_simulation", "ops")


def test_every_check_is_named(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_bits_equal_the_reference(outcomes, name):
    assert outcomes[name]
