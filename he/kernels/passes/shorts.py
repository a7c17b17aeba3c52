"""Combinations of rows of integers, in 16-bit products: keys of a linear scheme from its secrets.

The integers are cut into as few limbs as hold them, of which the uppermost has the sign. These are equally short:
the shorter they are, the more products are added up in 32 bits. The reference is `he.kernels.reference.combined`.
"""

import numpy as np

from he.kernels.instructions import shorts
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

tile = emitted(shorts.tile)
COLUMNS, ROWS = shorts.COLUMNS, shorts.ROWS
MOST_BITS = 15  # of a limb


def panels_shape(rows: int, columns: int, bound: int) -> tuple[int, int, int, int, int]:
    """The shape of the panels that integers within a bound are cut into: int16 [limbs, blocks, pairs, COLUMNS, 2].

    Args:
        rows: The number of rows.
        columns: The number of columns, a multiple of 64.
        bound: The largest magnitude of an integer, below 2**31.
    """
    return _limbs(bound), columns // COLUMNS, -(-rows // 2), COLUMNS, 2


def limb_bits(bound: int) -> int:
    """The bits of a limb, but for the sign, of integers within a bound below 2**31."""
    return -(-bound.bit_length() // _limbs(bound))


def _limbs(bound: int) -> int:
    return max(1, -(-bound.bit_length() // MOST_BITS))


@compiled
def cut(x: Array, bits: int, out: Array) -> None:
    """Cut rows of integers into limbs.

    Args:
        x: int32 [rows, columns], read-only.
        bits: What `limb_bits` says.
        out: The panels of `panels_shape`, written.
    """
    limbs, pairs = out.shape[0], out.shape[2]
    mask = np.int32((1 << bits) - 1)
    for limb in range(limbs):
        for block in range(out.shape[1]):
            for i in range(2 * pairs):
                target = out[limb, block, i // 2]
                for c in range(COLUMNS):
                    value = x[i, COLUMNS * block + c] >> np.int32(bits * limb) if i < len(x) else np.int32(0)
                    target[c, i % 2] = np.int16(value if limb == limbs - 1 else value & mask)


@compiled
def combine(panels: Array, bits: int, y: IntArray, limit: int, out: IntArray) -> int:
    """Multiply a matrix by rows of integers that were cut.

    Args:
        panels: The rows, as `cut` has written them: int16 [limbs, blocks, pairs, COLUMNS, 2], read-only.
        bits: What `limb_bits` says.
        y: int64 [n, rows], read-only.
        limit: The largest magnitude of an element of ``y``, below 2**15.
        out: int64 [n, columns], written; sums fit.

    Returns:
        The largest magnitude in ``out``.
    """
    limbs, blocks, pairs = panels.shape[:3]
    factors, sums = np.zeros((len(y), 2 * pairs), np.int16), np.empty((ROWS, COLUMNS), np.int32)
    for n in range(len(y)):
        for i in range(y.shape[1]):
            factors[n, i] = y[n, i]
    depth, largest = (1 << (30 - bits)) // (limit + 1), 0  # sums of twice as many products are below 2**31
    totals = np.empty((ROWS, COLUMNS), np.int64)
    for block in range(blocks):
        columns = slice(COLUMNS * block, COLUMNS * (block + 1))
        for n in range(0, len(y), ROWS):
            rows = min(ROWS, len(y) - n)
            totals[:] = 0
            for limb in range(limbs):
                for first in range(0, pairs, depth):
                    add_tile(factors[n : n + rows], panels[limb, block], first, min(depth, pairs - first), sums)
                    for r in range(ROWS):
                        for c in range(COLUMNS):
                            totals[r, c] += np.int64(sums[r, c]) << (bits * limb)
            for r in range(rows):
                row = out[n + r, columns]
                for c in range(COLUMNS):
                    largest = max(largest, abs(totals[r, c]))
                    row[c] = totals[r, c]
    return largest


@compiled
def add_tile(factors: Array, panel: Array, first: int, count: int, sums: Array) -> None:
    """Write the products of up to ROWS rows int16 [rows, 2 pairs] with a panel, ``count`` pairs of them from one on."""
    rows, step = factors.ctypes.data + 4 * first, 2 * factors.shape[1]
    tile((rows, step, len(factors) - 1, panel[first].ctypes.data, count, sums.ctypes.data))
