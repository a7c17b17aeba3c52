"""What GPUs are checked with is admissible at every size: no GPU is needed to know."""

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from bench.cases import gpu_residues
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


def test_a_request_takes_every_piece_of_pinned_memory_several_times(monkeypatch):
    """What evaluates it is made up; the names and the circuits are those of the checks."""
    asked = []
    monkeypatch.setattr(gpu_residues, "answers_agree", lambda circuit, **_: asked.append(circuit) or True)
    *_, (name, check) = gpu_residues.checks(1024)
    assert check()
    size = gpu_residues.Form.fresh(asked[0].parameters).bytes * len(asked[0].program.inputs)
    assert name.endswith(f"requests of {size / 2**20:.0f} MiB")
