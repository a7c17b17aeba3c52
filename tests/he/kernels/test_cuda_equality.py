"""The CUDA kernels on residues against plain integers, in Numba's simulator."""

import pytest

from tests.cuda import checks_of, simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

NAMES = checks_of("tests.he.kernels.cuda_residues")


@pytest.fixture(scope="module")
def outcomes():
    return simulated("tests.he.kernels.cuda_simulation")


def test_every_check_is_named(outcomes):
    assert list(outcomes) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_residues_are_those_of_plain_integers(outcomes, name):
    assert outcomes[name] is True, outcomes[name]
