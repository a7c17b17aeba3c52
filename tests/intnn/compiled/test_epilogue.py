"""The arithmetic that ranges allow to bring sums to bytes."""

import numpy as np

from intnn import (
    Dense,
    IntDomain,
    IntNetwork,
    Requantise,
)
from intnn.compiled import words
from intnn.compiled.epilogue import epilogue
from intnn.compiled.fuse import fuse

BYTE, UNSIGNED = IntDomain(-128, 127), IntDomain(0, 255)


def test_the_arithmetic_that_ranges_allow():
    """Limits of 8 bits times 2**22 fit 32 bits, products beyond them saturate first; times 2**31 they do not."""

    def rescale(multiplier, shift):
        layers = (Dense(np.full((2, 1000), 127), np.zeros(2, int)), Requantise(np.array(multiplier), shift, BYTE))
        network = IntNetwork((1000,), UNSIGNED, layers)
        return epilogue(fuse(network.layers, network.intervals)[1][0], 0, True).rescale

    assert rescale(1000, 22) == words.NARROW
    assert rescale(1000, 31) == words.WIDE
    assert rescale(-3, 8) == words.WIDE  # the order of the limits turns round
    assert rescale(3, 1) == words.WIDE  # steps of more than one pass over the limits
