"""Rows of residues packed to the bits of their primes, eight words to as many bytes as a word has bits."""

from functools import cache

import numpy as np

from he.kernels.instructions import lanes
from he.ring.packed import word_bits
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array

SPARE = 64  # bytes behind the last word that are read with it

unpack_eight = emitted(lanes.unpack)


def packed(row: np.ndarray, prime: int) -> bytes:
    """Pack residues uint64 [N] without gaps; N is a multiple of 64."""
    width = word_bits(prime)
    if width == 64:
        return row.astype("<u8").tobytes()
    out = np.empty(len(row) * width // 64, np.uint64)
    _pack(row, np.uint64(width), out)
    return out.astype("<u8").tobytes()


def unpacked(data: bytes | memoryview, primes: tuple[int, ...], out: np.ndarray) -> bool:
    """Unpack rows uint64 [polynomials, level, N] from the first bytes; tell whether all are below their primes."""
    padded = np.empty(len(data) + SPARE, np.uint8)
    padded[:-SPARE] = np.frombuffer(data, np.uint8)
    return bool(_unpack(padded, *_layouts(primes), out))


@cache
def _layouts(primes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """List for every prime: itself, its width, the bytes that hold eight words, the bits before them, a word's mask."""
    widths = np.array([word_bits(p) for p in primes], np.uint64)
    places = np.arange(8, dtype=np.uint64) * widths[:, None]
    order = (places[:, :, None] // 8 + np.arange(8, dtype=np.uint64)).astype(np.uint8)
    masks = np.array([(1 << int(width)) - 1 for width in widths], np.uint64)
    return np.array(primes, np.uint64), widths, order.reshape(-1, 64), places % 8, masks


@compiled
def _pack(row: Array, width: int, out: Array) -> None:
    waiting, held, place = np.uint64(0), np.uint64(0), 0
    for word in row:
        waiting |= word << held
        held += width
        if held >= 64:
            out[place] = waiting
            place += 1
            held -= np.uint64(64)
            waiting = word >> (width - held)


@compiled
def _unpack(data: Array, primes: Array, widths: Array, orders: Array, shifts: Array, masks: Array, out: Array) -> bool:
    source, wrong = data.ctypes.data, False
    for rows in out:
        for j in range(len(primes)):
            order, shift, target = orders[j].ctypes.data, shifts[j].ctypes.data, rows[j].ctypes.data
            for k in range(0, 8 * rows.shape[1], 64):
                unpack_eight((source, order, shift, masks[j], target + k))
                source += widths[j]
            p = primes[j]
            for word in rows[j]:
                wrong |= word >= p
    return not wrong
