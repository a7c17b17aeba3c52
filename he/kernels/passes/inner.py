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
        y: The vectors of keys, int64 [keys, length], below 2^15 in magnitude; read-only, in C's order or in Fortran's.
        out: int32 [samples, keys], written.
    """
    halves = split(words)
    panel, sums = np.empty((halves.shape[2] // 2, COLUMNS), np.uint32), np.empty((RUN, 2, COLUMNS), np.int32)
    for start in range(0, len(y), COLUMNS):
        stop = min(start + COLUMNS, len(y))
        fill(panel, y, start, stop)
        for first in range(0, len(words), RUN):
            multiply(halves[first : first + RUN], panel, sums)
            for s in range(min(RUN, len(words) - first)):
                low, high, products = sums[s, 0], sums[s, 1], out[first + s, start:stop]
                for k in range(len(products)):
                    products[k] = low[k] + (high[k] << np.int32(HALF))


@compiled
def unmasked(words: Array, y: IntArray, pads: Array, magnitude: int, centre: int, out: IntArray) -> int:
    """Write inner products of vectors that lie behind pads, unless one cannot be.

    Args:
        words: Centred vectors plus pads modulo 2^32: uint32 [samples, length].
        y: As for `wrapped_products`; at most 2^16 elements.
        pads: The inner products of the pads with ``y`` modulo 2^32: int32 [samples, keys].
        magnitude: As for `uncentre`.
        centre: As for `uncentre`.
        out: int64 [samples, keys], written.

    Returns:
        As `uncentre`.
    """
    halves = split(words)
    panel, sums = np.empty((halves.shape[2] // 2, COLUMNS), np.uint32), np.empty((RUN, 2, COLUMNS), np.int32)
    totals, ends, shifts = (
        np.empty((2, COLUMNS), np.int32),
        np.empty((2, COLUMNS), np.int32),
        np.empty(COLUMNS, np.int64),
    )
    lowest, highest = ends[0], ends[1]
    for start in range(0, len(y), COLUMNS):
        stop = min(start + COLUMNS, len(y))
        fill(panel, y, start, stop)
        add_up(panel, totals)
        for k in range(COLUMNS):
            bound, shifts[k] = magnitude * np.int64(totals[1, k]), centre * np.int64(totals[0, k])
            lowest[k], highest[k] = max(-bound, -(1 << 31)), min(bound, (1 << 31) - 1)
        outside = np.int32(0)
        for first in range(0, len(words), RUN):
            multiply(halves[first : first + RUN], panel, sums)
            for s in range(min(RUN, len(words) - first)):
                low, high, masks = sums[s, 0], sums[s, 1], pads[first + s, start:stop]
                products = out[first + s, start:stop]
                for k in range(len(products)):
                    product = np.int32(low[k] + (high[k] << np.int32(HALF)) - masks[k])
                    outside |= np.int32((product > highest[k]) | (product < lowest[k]))
                    products[k] = np.int64(product) + shifts[k]
        if outside:
            magnitudes = magnitude * totals[1, : stop - start].astype(np.int64)
            return start + first_beyond(out[:, start:stop] - shifts[: stop - start], magnitudes)
    return -1


@compiled
def split(words: Array) -> Array:
    """Return both halves of words uint32 [samples, length] as signed integers, with a zero behind odd lengths.

    They are int16 [samples, 2, even length]: a word is the lower half plus 2^16 times the upper one, modulo 2^32.
    """
    samples, length = words.shape
    halves = np.empty((samples, 2, length + length % 2), np.int16)
    if length % 2:
        halves[:, :, length] = 0
    for s in range(samples):
        row, lower, upper = words[s], halves[s, 0], halves[s, 1]
        for i in range(length):
            lower[i] = np.int16(row[i])
        for i in range(length):
            upper[i] = np.int16((row[i] + np.uint32(1 << (HALF - 1))) >> np.uint32(HALF))
    return halves


@compiled
def fill(panel: Array, y: IntArray, start: int, stop: int) -> None:
    """Write up to `COLUMNS` of the vectors int64 [keys, length] to the columns of a panel uint32 [pairs, COLUMNS]."""
    pairs, low, shift = y.shape[1] // 2, np.uint32((1 << HALF) - 1), np.uint32(HALF)
    if y.strides[0] < y.strides[1]:  # Fortran's order: neighbours are elements of different vectors
        for i in range(pairs):
            even, odd = y.T[2 * i, start:stop], y.T[2 * i + 1, start:stop]
            for k in range(len(even)):
                panel[i, k] = (np.uint32(even[k]) & low) | (np.uint32(odd[k]) << shift)
    else:
        for k in range(stop - start):
            row = y[start + k]
            for i in range(pairs):
                panel[i, k] = (np.uint32(row[2 * i]) & low) | (np.uint32(row[2 * i + 1]) << shift)
    if y.shape[1] % 2:
        for k in range(stop - start):
            panel[pairs, k] = np.uint32(y[start + k, -1]) & low


@compiled
def add_up(panel: Array, totals: Array) -> None:
    """Write the sums of a panel's columns, and those of magnitudes, which fit: int32 [2, COLUMNS]."""
    totals[:] = 0
    sums, sizes = totals[0], totals[1]
    for i in range(len(panel)):
        pairs = panel[i]
        for k in range(COLUMNS):
            pair = np.int32(pairs[k])
            even, odd = np.int32(pair << np.int32(HALF)) >> np.int32(HALF), pair >> np.int32(HALF)
            sums[k] += even + odd
            sizes[k] += abs(even) + abs(odd)


@compiled
def multiply(halves: Array, panel: Array, sums: Array) -> None:
    """Multiply halves of words, int16 [samples, 2, 2 pairs], with a panel, to sums int32 [RUN, 2, COLUMNS]."""
    rows, step, first, target = 2 * len(halves), 2 * halves.shape[2], halves.ctypes.data, sums.ctypes.data
    for r in range(0, rows, ROWS):
        last = min(ROWS, rows - r) - 1
        tile((first + step * r, step, last, panel.ctypes.data, len(panel), target + 4 * COLUMNS * r))


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
    bounds, shifts = bounds_and_shifts(y, magnitude, centre)
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
def bounds_and_shifts(y: IntArray, magnitude: int, centre: int) -> tuple[IntArray, IntArray]:
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
