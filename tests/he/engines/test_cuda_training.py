"""What training takes on a GPU: the fast engine's bytes in Numba's simulator."""

import pytest

from tests.cuda import simulated

CHECKS = [
    "ckks, traces",
    "bfv, traces",
    "ckks, matrix products",
    "bfv, matrix products",
    "samples that are read",
    "a head",
    "what training refuses",
]


@pytest.fixture(scope="module")
def outcomes():
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    return simulated("tests.he.engines.cuda_training_simulation")


@pytest.mark.parametrize("name", CHECKS)
def test_results_are_those_of_the_fast_engine(outcomes, name):
    assert outcomes[name]


def test_every_check_is_named(outcomes):
    assert list(outcomes) == CHECKS
