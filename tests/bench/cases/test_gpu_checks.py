"""What GPUs are checked with is admissible at every size: no GPU is needed to know."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from bench.cases.gpu_checks import LARGE, SMALL, network_of_every_kernel, trainings


@pytest.mark.parametrize("sizes", [SMALL, LARGE])
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_gradients_of_a_batch_cannot_overflow(sizes, kind):
    network, batch = trainings(sizes)[kind]
    for block in network.blocks:
        block.gradient_shifts(batch)  # which refuses too large a batch


@pytest.mark.parametrize("sizes", [SMALL, LARGE])
def test_the_network_of_every_kernel_exists(sizes):
    assert network_of_every_kernel(sizes).output_shape == (10,)
