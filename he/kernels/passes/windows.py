"""Some coefficients of products of many polynomials with one, modulo a prime and X^N + 1.

The 64 coefficients of c k from 64 w on are a sum of products of short polynomials: k is cut into N / 64 chunks of 64
coefficients, and chunk b meets a *window* of c, the 127 coefficients around 64 (w - b). Such a product takes cyclic
transforms of 128 points. Windows of c are transformed once, chunks once for all w, and the products are added up before
they are transformed back, once for each w. So few coefficients take about half as many butterflies as a negacyclic
transform and its inverse; and as eight polynomials lie side by side in the lanes of a vector, no lanes are exchanged.

The reference is `he.kernels.reference.product`.
"""

from functools import partial

import numpy as np

from he.kernels.instructions import butterflies, dots, lanes
from he.kernels.passes.functional import times
from he.kernels.passes.transform import LOOSE, inverse_pass
from he.kernels.tables.windows import WINDOW, WindowTables
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

lift_columns, lift_columns_loose = (emitted(partial(butterflies.lift_columns, loose=loose)) for loose in (False, True))
forward_8, forward_8_loose = (emitted(partial(butterflies.forward_8, loose=loose)) for loose in (False, True))
scale_difference = emitted(partial(lanes.scale_difference, loose=2))
scale_difference_loose = emitted(partial(lanes.scale_difference, loose=16))
column_tile = emitted(dots.column_tile)
LANES, BYTES, POINTS = lanes.LANES, lanes.BYTES, 2 * WINDOW
TILES = POINTS // LANES  # of eight points, whose sums stay in registers


def spectra_shape(N: int, coefficients: int) -> tuple[int, int, int]:
    """The shape of `windows` for products up to some coefficient, a multiple of 64."""
    return TILES, (N + coefficients) // WINDOW - 1, LANES


@compiled
def enter(t: WindowTables, x: Array, step: int, last: int, out: Array) -> None:
    """Lift the first 64 words of up to eight rows to uint64 [64, 8]; see `butterflies.lift_columns`."""
    source, target = x.ctypes.data, out.ctypes.data
    for k in range(0, 8 * WINDOW, BYTES):
        numbers = source + k, step, last, target + LANES * k, t.one, t.lifted, t.prime
        if t.prime < LOOSE:
            lift_columns_loose(numbers)
        else:
            lift_columns(numbers)


@compiled
def transform(t: WindowTables, x: Array, half: int, spare: Array, out: Array) -> None:
    """Transform eight polynomials modulo X^64 - 1, or, in the upper ``half``, X^64 + 1.

    Args:
        t: The prime's tables.
        x: The polynomials, uint64 [64, 8].
        half: 0 or 1.
        spare: Memory to work on, as large.
        out: uint64 [8, 8, 8], written: points, in tiles of eight, and polynomials; any stride between tiles.
    """
    source, between, far = x.ctypes.data, spare.ctypes.data, LANES * BYTES
    w, quotients = t.forward.ctypes.data, t.forward_quotients.ctypes.data
    for i in range(LANES):
        place = BYTES * i
        first = source + place, far, w, quotients, half, between + place, far, t.prime
        if t.prime < LOOSE:
            forward_8_loose(first)
        else:
            forward_8(first)
    for i in range(LANES):
        second = between + far * i, BYTES, w, quotients, LANES * half + i, out[i].ctypes.data, BYTES, t.prime
        if t.prime < LOOSE:
            forward_8_loose(second)
        else:
            forward_8(second)


@compiled
def transform_back(t: WindowTables, x: Array, out: Array) -> None:
    """Transform eight products back, [128, 8], which are overwritten: the upper halves of them, below p, [64, 8]."""
    blocks, size = POINTS // 4, 4 * LANES
    while blocks > 1:
        inverse_pass(x.ctypes.data, 0, blocks, 0, size, t.inverse, t.inverse_quotients, t.prime)
        blocks, size = blocks // 4, 4 * size
    lower, upper, target = x[:WINDOW].ctypes.data, x[WINDOW:].ctypes.data, out.ctypes.data
    for k in range(0, 64 * WINDOW, 64):
        numbers = lower + k, upper + k, target + k, t.scale, t.scale_quotient, t.prime
        if t.prime < LOOSE:
            scale_difference_loose(numbers)
        else:
            scale_difference(numbers)


@compiled
def windows(t: WindowTables, c: Array, out: Array) -> None:
    """Transform the windows of a polynomial that products up to some place need.

    Args:
        t: The prime's tables.
        c: Residues, uint64 [N].
        out: uint64 of `spectra_shape`, written: eight points at a time of every window, in the order of their places.
    """
    N, count = c.size, out.shape[1]
    halves = np.empty((2, count, WINDOW), np.int64)
    lifted, spare = np.empty((WINDOW, LANES), np.uint64), np.empty((WINDOW, LANES), np.uint64)
    found = np.empty((LANES, LANES, LANES), np.uint64)
    for e in range(count):
        for k in range(WINDOW):
            low, high = WINDOW * e + k - N, WINDOW * (e + 1) + k - N
            before = np.int64(c[low]) if low >= 0 else -np.int64(c[low + N])
            after = np.int64(c[high]) if high >= 0 else -np.int64(c[high + N])
            total = before + after
            halves[0, e, k] = total - t.prime if total > t.prime else total + t.prime if total < -t.prime else total
            halves[1, e, k] = before - after
    for first in range(0, count, LANES):
        last = min(LANES, count - first) - 1
        for half in range(2):
            enter(t, halves[half, first], 8 * WINDOW, last, lifted)
            transform(t, lifted, half, spare, found)
            for k in range(WINDOW):
                for e in range(last + 1):
                    out[LANES * half + k // LANES, first + e, k % LANES] = found[k // LANES, k % LANES, e]


@compiled
def products(t: WindowTables, k: IntArray, spectra: Array, first: int, out: Array) -> None:
    """Compute coefficients of the products of polynomials with one, modulo X^N + 1.

    Args:
        t: The prime's tables.
        k: The polynomials, int64 [keys, N], below 2**50 in magnitude, read-only.
        spectra: The windows of the other one, as `windows` has written them; read-only.
        first: The first window of coefficients.
        out: uint64 [keys, coefficients], a multiple of 64 of these, written: residues from coefficient 64 ``first`` on.
    """
    chunks, count = k.shape[1] // WINDOW, out.shape[1] // WINDOW
    lifted, spare = np.empty((WINDOW, LANES), np.uint64), np.empty((WINDOW, LANES), np.uint64)
    x, sums = np.empty((TILES, chunks, LANES, LANES), np.uint64), np.empty((count, 2, POINTS, LANES), np.uint64)
    found = np.empty((POINTS, LANES), np.uint64)
    for i in range(0, len(k), LANES):
        keys = min(LANES, len(k) - i)
        for b in range(chunks):
            enter(t, k[i, WINDOW * b :], 8 * k.shape[1], keys - 1, lifted)
            for half in range(2):
                transform(t, lifted, half, spare, x[LANES * half : LANES * (half + 1), chunks - 1 - b])
        for tile in range(TILES):
            for w in range(count):
                add_up(x[tile], spectra[tile, first + w :], sums[w, :, LANES * tile :])
        for w in range(count):
            folded(t, sums[w], found)
            transform_back(t, found, lifted)
            for r in range(keys):
                for c in range(WINDOW):
                    out[i + r, WINDOW * w + c] = lifted[c, r]


@compiled
def add_up(x: Array, factors: Array, sums: Array) -> None:
    """Write the low and high halves of sums of products: uint64 [n, 8, 8] and [n, 8] and more to [2, 8, 8] and more."""
    column_tile((x.ctypes.data, factors.ctypes.data, len(x), sums[0].ctypes.data, sums[1].ctypes.data))


@compiled
def folded(t: WindowTables, sums: Array, out: Array) -> None:
    """Reduce sums of products modulo p: the low and high halves uint64 [2, 128, 8] to [128, 8]."""
    p = np.uint64(t.prime)
    inverse_p, mask = 1.0 / np.float64(p), np.uint64((1 << 52) - 1)
    low, high, result = sums[0].reshape(-1), sums[1].reshape(-1), out.reshape(-1)
    for n in range(result.size):
        upper, lower = high[n] + (low[n] >> np.uint64(52)), low[n] & mask
        upper -= np.uint64(np.float64(upper) * inverse_p) * p
        upper = min(upper, upper + p)
        lower -= np.uint64(np.float64(lower) * inverse_p) * p
        lower = min(lower, lower + p)
        total = times(min(upper, upper - p), t.radix, p, inverse_p) + min(lower, lower - p)
        result[n] = min(total, total - p)
