"""Inner products of integers with the vectors of keys: modulo 2^32, and within what a vector allows.

The references are `he.kernels.reference.wrapped_products` and `he.kernels.reference.uncentred`.
"""

import numpy as np

from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

_ROWS = 32  # of factors at a time, which stay in the processor's first cache while words pass by
_GROUP = 4  # of them in one pass over the sums, which are then read and written once for all four


@compiled
def wrapped_products(words: Array, factors: Array, out: Array) -> None:
    """Multiply matrices modulo 2^32.

    Args:
        words: uint32 [samples, length].
        factors: The vectors of keys, as columns: uint32 [length, keys], negative elements modulo 2^32.
        out: uint32 [samples, keys], written.
    """
    out[:] = 0
    whole = len(factors) - len(factors) % _GROUP
    for start in range(0, whole, _ROWS):
        for s in range(len(words)):
            row = out[s]
            for i in range(start, min(start + _ROWS, whole), _GROUP):
                a, b, c, d = words[s, i], words[s, i + 1], words[s, i + 2], words[s, i + 3]
                for k in range(len(row)):
                    row[k] += a * factors[i, k] + b * factors[i + 1, k] + c * factors[i + 2, k] + d * factors[i + 3, k]
    for s in range(len(words)):
        for i in range(whole, len(factors)):
            for k in range(out.shape[1]):
                out[s, k] += words[s, i] * factors[i, k]


@compiled
def uncentre(products: IntArray, y: IntArray, magnitude: int, centre: int) -> int:
    """Add to inner products of centred vectors those of their centres, in place, unless one cannot be.

    Args:
        products: <x - c, y> for vectors x and y: int64 [samples, keys].
        y: int64 [keys, length], read-only; at most 2^16 elements below 2^15 in magnitude.
        magnitude: The largest magnitude of an element of x - c, at most 2^8.
        centre: Every element of c.

    Returns:
        The first key with which a product is larger than all that it can have, and nothing is added then; -1 if there
        is none.
    """
    bounds, shifts = np.zeros(len(y), np.int64), np.zeros(len(y), np.int64)
    for k in range(len(y)):
        for i in range(y.shape[1]):
            bounds[k] += magnitude * abs(y[k, i])
            shifts[k] += centre * y[k, i]
    outside = np.zeros(len(y), np.bool_)
    for s in range(len(products)):
        for k in range(len(y)):
            outside[k] |= (products[s, k] > bounds[k]) | (products[s, k] < -bounds[k])
    for k in range(len(y)):
        if outside[k]:
            return k
    for s in range(len(products)):
        for k in range(len(y)):
            products[s, k] += shifts[k]
    return -1
