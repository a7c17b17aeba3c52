"""What `make gpu` times of encrypted work runs in Numba's simulator."""

import pytest

from tests.cuda import checks_of, simulated

MODULE = "tests.bench.cases.gpu_simulation"


@pytest.fixture(scope="module")
def outcomes():
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    return simulated(MODULE)


@pytest.mark.parametrize("name", checks_of(MODULE))
def test_it_runs_and_compares(outcomes, name):
    assert outcomes[name]
