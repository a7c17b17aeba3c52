"""The CUDA kernels of layers against their definitions, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import pytest

from tests.cuda import simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

TILES = [f"mma.sync, {tile} stages" for tile in ("32 x 64, 3", "32 x 32, 3", "16 x 64, 2", "16 x 32, 2")]
UNITS = ("dp4a", *TILES)
NAMES = [f"{kind}, {unit}" for unit in UNITS for kind in ("dense", "conv2d and table")] + ["lookup"]
NAMES += [f"{kind}, wgmma, 64 x 64, 3 stages" for kind in ("dense", "dense and table", "edges", "saturated")]
NAMES += ["network", "network, batches of many sizes"]
NAMES += [f"saturated, {unit}" for unit in ("dp4a", TILES[0], TILES[2])]


@pytest.fixture(scope="module")
def outcomes():
    return simulated("tests.intnn.cuda_simulation", "ops")


def test_every_check_is_named(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_bits_equal_the_reference(outcomes, name):
    assert outcomes[name]
