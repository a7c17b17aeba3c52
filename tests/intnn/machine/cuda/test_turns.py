"""Threads of the simulator that take turns; kernels run in a process that has the simulator."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from tests.cuda import checks_of, simulated

MODULE = "tests.intnn.machine.cuda.simulation"
NAMES = checks_of(MODULE)


@pytest.fixture(scope="module")
def outcomes():
    return simulated(MODULE)


@pytest.mark.parametrize("name", NAMES)
def test_in_the_simulator(outcomes, name):
    assert outcomes[name] is True, outcomes[name]
