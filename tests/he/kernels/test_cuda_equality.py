"""The CUDA kernels on residues against the CPU's, in Numba's simulator; `python -m bench gpu` repeats this on a GPU."""

import pytest

from tests.cuda import simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

WORKS = "transforms", "products", "plain products", "key switch", "division", "automorphism", "bfv products"
NAMES = [*(f"residues: {work}, N = 128" for work in WORKS), "residues: transforms, N = 256"]


@pytest.fixture(scope="module")
def outcomes():
    return simulated("tests.he.kernels.cuda_simulation")


def test_every_check_is_named(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_residues_equal_the_cpus(outcomes, name):
    assert outcomes[name]
