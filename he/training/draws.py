"""Nearly normal integers from the counter-based generator: the same everywhere, and exact in float64."""

import math

import numpy as np

from intnn.training import generator
from intnn.values.arrays import IntArray

REACH = 510  # of a number
DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)  # of a number


def nearly_normal(stream: generator.Key, count: int) -> IntArray:
    """Return the first ``count`` numbers of a stream: the sums of a draw's four bytes less their mean, 510."""
    drawn = generator.draws(stream, count)
    result: IntArray = np.stack([(drawn >> shift) & 255 for shift in (0, 8, 16, 24)]).sum(axis=0) - REACH
    return result
