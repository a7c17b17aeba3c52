"""Requests that are unpacked on a GPU: the CPU's residues, words and bytes, in Numba's simulator."""

import pytest

from tests.cuda import checks_of, simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

MODULE = "tests.he.engines.cuda_requests_simulation"


@pytest.fixture(scope="module")
def outcomes():
    return simulated(MODULE)


@pytest.mark.parametrize("name", checks_of(MODULE))
def test_requests_are_those_of_the_processor(outcomes, name):
    assert outcomes[name]
