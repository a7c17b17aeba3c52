"""Pooling folded into the convolution before it."""

import numpy as np

from intnn import (
    Conv2d,
    IntDomain,
    IntNetwork,
    SumPool2d,
)

UNSIGNED = IntDomain(0, 255)


def test_pooling_costs_less_than_the_convolution_before_it():
    """25 products four times, or 36 once: with small weights, folded ones are still bytes."""
    weight = np.random.default_rng(0).integers(-31, 32, (16, 4, 5, 5))
    convolution = Conv2d(weight, np.zeros(16, int))
    plain, pooled = (IntNetwork((4, 12, 12), UNSIGNED, (convolution, *rest)) for rest in ((), (SumPool2d(2),)))
    assert pooled.compiled.instructions.products < 0.5 * plain.compiled.instructions.products
