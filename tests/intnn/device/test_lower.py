"""What is fused with a product of bytes; what it computes is tried in the simulator."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation, Requantise
from intnn.device.lower import FURTHEST, Lowering
from intnn.ops.cuda.product import TENSOR


@pytest.mark.parametrize(
    ("domain", "factor", "table", "steps"),
    [
        (IntDomain(-128, 127), 1, 200, 1),
        (IntDomain(FURTHEST - 1, FURTHEST), (1 << 31) - 1, 200, 1),
        (IntDomain(FURTHEST + 1, FURTHEST + 2), 1, 200, 3),  # places of the table may be too far from a sum
        (IntDomain(-FURTHEST - 2, -FURTHEST - 1), 1, 200, 3),
        (IntDomain(-128, 127), 1 << 31, 200, 3),
        (IntDomain(-128, 127), 1, 300, 3),
    ],
)
def test_tables_of_bytes_are_fused_where_they_are_exact(domain, factor, table, steps):
    lut = Lut(domain, np.full(domain.size, table))
    layers = (
        Dense(np.ones((2, 3), int), np.zeros(2, int)),
        Requantise(np.array([factor]), 3, domain),
        LutActivation(lut),
    )
    network = IntNetwork((3,), IntDomain(0, 255), layers)
    lowered = Lowering(
        network.input_shape, network.input_domain, network.layers, network.sources, network.shapes, network.intervals,
        network.bounds, TENSOR,
    )  # fmt: skip
    before, *made, after = (step.what for step in lowered.steps)
    assert (before, after) == ("inputs laid out", "outputs")
    assert len(made) == steps
