"""The training step on a GPU against its definition, in Numba's simulator; `python -m bench gpu` has a GPU do it."""

import pytest

from tests.cuda import simulated

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")


def test_steps_are_bit_equal_to_the_definition():
    assert simulated("tests.intnn.cuda_simulation", "training") == {"training steps": True}
