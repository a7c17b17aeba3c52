"""The tables of a training step: the exponential, and slopes."""

import numpy as np

from intnn.training.tables import DOMAIN, activation, exponential


def test_the_exponential_covers_sixteen_nats():
    table = exponential()
    assert len(table) == 16 * 64
    assert table[0] == 1 << 15
    # Rounded to the nearest integer, from thirty digits.
    assert np.abs(table - 2**15 * np.exp(-np.arange(1024) / 64)).max() <= 0.5
    assert np.all(np.diff(table) <= 0)


def test_slopes_are_zero_where_values_saturate():
    for name in ("relu", "tanh", "identity"):
        slopes = activation(name).slopes
        assert slopes(np.array([DOMAIN.lo, DOMAIN.hi])).tolist() == [0, 0]
