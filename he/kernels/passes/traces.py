"""Traces of ciphertexts: many of them merged into one, and one split into many.

After H. Chen, W. Dai, M. Kim and Y. Song, "Efficient Homomorphic Conversion Between (Ring) LWE Ciphertexts" (ACNS
2021). The automorphism X -> X**g with g = 2**(l + 1) + 1 fixes the powers of X**(N / 2**l), and turns the sign of those
halfway between them, the odd powers of X**(N / 2**(l + 1)). So the sum with its own image has twice what a polynomial
has there at the former places, and nothing at the latter: two ciphertexts are merged, or one is split into two, by a
single key switch.
"""

import numpy as np

from he.kernels.instructions import lanes
from he.kernels.passes import switching
from he.kernels.passes.evaluate import add_rows
from he.kernels.passes.switching import Permutation
from he.kernels.tables.chain import Tables
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

merge_words, split_words = emitted(lanes.merge), emitted(lanes.split)


@compiled
def image(tables: Tables, x: Array, key: IntArray, special: int, permutation: Permutation, out: Array) -> None:
    """Apply an automorphism to a ciphertext uint64 [2, level, N]: `switching.rotate`, divided by the special prime."""
    _, level, N = x.shape
    centred, extended = np.empty((level, N), np.uint64), np.empty((2, level + 1, N), np.uint64)
    switching.to_centred(tables, x[1], centred, 0, level)
    switching.rotate(tables, x, centred, key, special, permutation, extended, 0, level + 1)
    switching.mod_down(tables, extended, special, out, 0, 2)


@compiled
def add_image(tables: Tables, x: Array, key: IntArray, special: int, permutation: Permutation, out: Array) -> None:
    """Compute x + f(x) for an automorphism f, as `image` applies it."""
    image(tables, x, key, special, permutation, out)
    add_rows(tables, x, out, x.shape[1] - 1, out)


@compiled
def merge(
    tables: Tables,
    even: Array,
    odd: Array,
    power: Array,
    key: IntArray,
    special: int,
    permutation: Permutation,
    out: Array,
) -> None:
    """Compute even + w odd + f(even - w odd), for an automorphism f with f(w) = -w: the traces of both, in one.

    Args:
        tables: The chain's.
        even: uint64 [2, level, N], transformed.
        odd: The same.
        power: w times 2**52, transformed, uint64 [level, N].
        key: The key of f, as `switching.rotate` takes it.
        special: The index of the special prime.
        permutation: What `he.ring.slots.permutation` gives for f.
        out: uint64 [2, level, N], written; it may be ``even`` or ``odd``.
    """
    total, difference = np.empty_like(even), np.empty_like(even)
    merge_rows(tables, even, odd, power, total, difference)
    image(tables, difference, key, special, permutation, out)
    add_rows(tables, out, total, even.shape[1] - 1, out)


@compiled
def merge_rows(tables: Tables, x: Array, y: Array, power: Array, total: Array, difference: Array) -> None:
    """Compute x + w y and x - w y, for w as `merge` takes it."""
    for c in range(2):
        for j in range(x.shape[1]):
            p, montgomery = tables.constants[j].modulus, tables.constants[j].montgomery
            here, there, w = x[c, j].ctypes.data, y[c, j].ctypes.data, power[j].ctypes.data
            first, second = total[c, j].ctypes.data, difference[c, j].ctypes.data
            for k in range(0, 8 * x.shape[2], 64):
                merge_words((here + k, there + k, w + k, first + k, second + k, p, montgomery))


@compiled
def split(
    tables: Tables,
    x: Array,
    power: Array,
    key: IntArray,
    special: int,
    permutation: Permutation,
    even: Array,
    odd: Array,
) -> None:
    """Compute x + f(x) and w (x - f(x)), for an automorphism f: what f fixes in x, and what it turns the sign of.

    Args:
        tables: The chain's.
        x: uint64 [2, level, N], transformed.
        power: w times 2**52, transformed, uint64 [level, N].
        key: The key of f, as `switching.rotate` takes it.
        special: The index of the special prime.
        permutation: What `he.ring.slots.permutation` gives for f.
        even: uint64 [2, level, N], written; it may not be x.
        odd: The same.
    """
    image(tables, x, key, special, permutation, odd)
    for c in range(2):
        for j in range(x.shape[1]):
            p, montgomery = tables.constants[j].modulus, tables.constants[j].montgomery
            here, there, w = x[c, j].ctypes.data, odd[c, j].ctypes.data, power[j].ctypes.data
            first, second = even[c, j].ctypes.data, odd[c, j].ctypes.data
            for k in range(0, 8 * x.shape[2], 64):
                split_words((here + k, there + k, w + k, first + k, second + k, p, montgomery))
