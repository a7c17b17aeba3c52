"""Bytes between layers, and the zeros around images."""

import numpy as np

from intnn import (
    Conv2d,
    IntDomain,
    IntNetwork,
)


def test_a_border_of_zeros_needs_zero_among_the_values():
    network = IntNetwork((1, 3, 3), IntDomain(5, 260), (Conv2d(np.ones((1, 1, 3, 3), int), np.zeros(1, int), 1, 1),))
    assert network.compiled is None
    x = np.full((1, 1, 3, 3), 260)
    assert np.array_equal(network.logits(x, "numba"), network.logits(x))
