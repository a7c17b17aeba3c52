"""Inner products of integers with the vectors of keys: modulo 2^32, and within what a vector allows.

The references are `he.kernels.reference.wrapped_products`, `he.kernels.reference.uncentred` and
`he.kernels.reference.unmasked`.
"""

import numpy as np

from he.kernels.instructions import shorts
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

tile = emitted(shorts.tile)
COLUMNS, ROWS = shorts.COLUMNS, shorts.ROWS
RUN = 32  # samples at once, whose sums stay in the first cache
HALF = 16  # bits


@compiled
def wrapped_products(words: Array, y: IntArray, out: Array) -> None:
    """Multiply matrices modulo 2^32: both halves of words, as signed integers, with the vectors.

    Args:
        words: uint32 [samples, length].
        y: The vectors of keys, int64 [keys, length], below 2^15 in magnitude; read-only.
        out: int32 [samples, keys], written.
    """
    samples, length = words.shape
    halves = np.empty((samples, 2, length + length % 2), np.int16)
    panel, sums = np.empty((halves.shape[2] // 2, COLUMNS), np.uint32), np.empty((RUN, 2, COLUMNS), np.int32)
    if length % 2:
        halves[:, :, length] = 0
    for s in range(samples):
        row, lower, upper = words[s], halves[s, 0], halves[s, 1]
        for i in range(length):
            lower[i] = np.int16(row[i])
        for i in range(length):
            upper[i] = np.int16((row[i] + np.uint32(1 << (HALF - 1))) >> np.uint32(HALF))
    for start in range(0, len(y), COLUMNS):
        fill(panel, y[start : start + COLUMNS])
        for first in range(0, samples, RUN):
            multiply(halves[first : first + RUN], panel, sums, out[first : first + RUN, start : start + COLUMNS])


@compiled
def fill(panel: Array, y: IntArray) -> None:
    """Write up to `COLUMNS` vectors int64 [keys, length] to the columns of a panel uint32 [pairs, COLUMNS]."""
    low = np.uint32((1 << HALF) - 1)
    for k in range(len(y)):
        row = y[k]
        for i in range(len(row) // 2):
            panel[i, k] = (np.uint32(row[2 * i]) & low) | (np.uint32(row[2 * i + 1]) << np.uint32(HALF))
        if len(row) % 2:
            panel[len(row) // 2, k] = np.uint32(row[-1]) & low


@compiled
def multiply(halves: Array, panel: Array, sums: Array, out: Array) -> None:
    """Multiply words, in halves int16 [samples, 2, 2 pairs], with a panel; ``sums`` is memory to work on."""
    rows, step, first, target = 2 * len(halves), 2 * halves.shape[2], halves.ctypes.data, sums.ctypes.data
    for r in range(0, rows, ROWS):
        last = min(ROWS, rows - r) - 1
        tile((first + step * r, step, last, panel.ctypes.data, len(panel), target + 4 * COLUMNS * r))
    for s in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[s, k] = sums[s, 0, k] + (sums[s, 1, k] << np.int32(HALF))


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
    products, (bounds, shifts) = np.empty(pads.shape, np.int32), reach(y, magnitude, centre)
    wrapped_products(words, y, products)
    outside = False
    for s in range(len(pads)):
        for k in range(len(y)):
            product = np.int64(np.int32(products[s, k] - pads[s, k]))
            outside |= (product > bounds[k]) | (product < -bounds[k])
            out[s, k] = product + shifts[k]
    return first_beyond(out - shifts, bounds) if outside else -1


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
    bounds, shifts = reach(y, magnitude, centre)
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
def reach(y: IntArray, magnitude: int, centre: int) -> tuple[IntArray, IntArray]:
    """Return the largest product of every vector with a centred one, and its product with the centres: int64 [keys]."""
    bounds, shifts = np.empty(len(y), np.int64), np.empty(len(y), np.int64)
    for k in range(len(y)):
        total = sizes = 0
        for i in range(y.shape[1]):
            total += y[k, i]
            sizes += abs(y[k, i])
        bounds[k], shifts[k] = magnitude * sizes, centre * total
    return bounds, shifts


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
