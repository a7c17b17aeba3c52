"""Inner products of integers with the vectors of keys: modulo 2^32, and within what a vector allows.

The references are `he.kernels.reference.wrapped_products`, `he.kernels.reference.uncentred` and
`he.kernels.reference.unmasked`.
"""

import numpy as np

from he.kernels.instructions import wrapped
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

# A global: only so does Numba's cache on disk find the functions that use it.
tile = emitted(wrapped.tile)
KEYS, SAMPLES = wrapped.KEYS, wrapped.SAMPLES


@compiled
def wrapped_products(words: Array, y: IntArray, out: Array) -> None:
    """Multiply matrices modulo 2^32.

    Args:
        words: uint32 [samples, length].
        y: The vectors of keys, int64 [keys, length], whose elements count modulo 2^32; read-only.
        out: uint32 [samples, keys], written.
    """
    factors, sums = np.empty((y.shape[1], KEYS), np.uint32), np.empty((SAMPLES, KEYS), np.uint32)
    for start in range(0, len(y), KEYS):
        add_panel(words, y, start, factors, sums, out)


@compiled
def add_panel(words: Array, y: IntArray, start: int, factors: Array, sums: Array, out: Array) -> None:
    """Write the products with up to `KEYS` vectors from one on; ``factors`` and ``sums`` are memory to work on."""
    keys, length = min(KEYS, len(y) - start), y.shape[1]
    for i in range(length):
        for k in range(keys):
            factors[i, k] = np.uint32(y[start + k, i])
    for s in range(0, len(words), SAMPLES):
        samples = min(SAMPLES, len(words) - s)
        first, row = words.ctypes.data + 4 * length * s, 4 * length
        tile((first, row, samples - 1, factors.ctypes.data, length, sums.ctypes.data))
        for r in range(samples):
            out[s + r, start : start + keys] = sums[r, :keys]


@compiled
def unmasked(words: Array, y: IntArray, pads: Array, magnitude: int, centre: int, out: IntArray) -> int:
    """Write inner products of vectors that lie behind pads, unless one cannot be.

    Args:
        words: Centred vectors plus pads modulo 2^32: uint32 [samples, length].
        y: As for `uncentre`.
        pads: The inner products of the pads with ``y`` modulo 2^32: int32 [samples, keys].
        magnitude: As for `uncentre`.
        centre: As for `uncentre`.
        out: int64 [samples, keys], written.

    Returns:
        As `uncentre`.
    """
    products = np.empty(pads.shape, np.uint32)
    wrapped_products(words, y, products)
    for s in range(len(pads)):
        for k in range(len(y)):
            out[s, k] = np.int32(products[s, k] - np.uint32(pads[s, k]))
    return uncentre(out, y, magnitude, centre)


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
    bounds, shifts = np.empty(len(y), np.int64), np.empty(len(y), np.int64)
    for k in range(len(y)):
        total = sizes = 0
        for i in range(y.shape[1]):
            total += y[k, i]
            sizes += abs(y[k, i])
        bounds[k], shifts[k] = magnitude * sizes, centre * total
    for s in range(len(products)):
        outside = False
        for k in range(len(y)):
            outside |= (products[s, k] > bounds[k]) | (products[s, k] < -bounds[k])
        if outside:
            return first_beyond(products, bounds)
    for s in range(len(products)):
        for k in range(len(y)):
            products[s, k] += shifts[k]
    return -1


@compiled
def lie_within(values: IntArray, limit: int) -> bool:
    """Whether all values, int64 [rows, columns], read-only, are at most a limit in magnitude."""
    inside = True
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            inside &= (values[i, j] <= limit) & (values[i, j] >= -limit)
    return inside


@compiled
def first_beyond(products: IntArray, bounds: IntArray) -> int:
    """Return the first column of int64 [rows, columns] with a value beyond its bound in magnitude; -1 without one."""
    for k in range(len(bounds)):
        for s in range(len(products)):
            if products[s, k] > bounds[k] or products[s, k] < -bounds[k]:
                return k
    return -1
