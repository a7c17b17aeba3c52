"""Sums of products on a GPU, of which a thread holds several: they are cleared, added to, carried, and divided once.

A sum is three words of `he.kernels.cuda.words`. Terms are laid out as pairs of words, which are read at once.
"""

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.tables import MODULUS, MONTGOMERY, ONE
from he.kernels.cuda.words import carried, in_limbs, madd, reduced

CHUNK = 1 << 12  # terms of a sum, of two products each, that are added before it is carried


def named(terms: np.ndarray) -> np.ndarray:
    """Lay terms out that are rows, int64 [terms, rows], as kernels take them: by pairs of words, uint64."""
    words: np.ndarray = np.pad(terms, ((0, 0), (0, terms.shape[1] % 2))).view(np.uint64)
    return words


def weighted(terms: np.ndarray) -> np.ndarray:
    """Lay terms out that are a row each and numbers, as kernels take them: the numbers in limbs, and then the row."""
    words = terms.view(np.uint64)
    return named(np.concatenate([in_limbs(words[:, 1:]), words[:, :1]], axis=1).view(np.int64))


@cuda.jit(device=True, inline="always")
def clear(sums):  # type: ignore[no-untyped-def]
    """Begin sums of products, uint64 [sums, 3]."""
    for i in range(sums.shape[0]):
        sums[i, 0], sums[i, 1], sums[i, 2] = uint64(0), uint64(0), uint64(0)


@cuda.jit(device=True, inline="always")
def add(sums, i, x, y):  # type: ignore[no-untyped-def]
    """Add a product of two numbers, which are given as limbs, to sum i."""
    sums[i, 0], sums[i, 1], sums[i, 2] = madd((sums[i, 0], sums[i, 1], sums[i, 2]), x, y)


@cuda.jit(device=True, inline="always")
def carry(sums):  # type: ignore[no-untyped-def]
    """Carry all sums."""
    for i in range(sums.shape[0]):
        sums[i, 0], sums[i, 1], sums[i, 2] = carried((sums[i, 0], sums[i, 1], sums[i, 2]))


@cuda.jit(device=True, inline="always")
def total(sums, i, modulus):  # type: ignore[no-untyped-def]
    """Divide sum i, which is carried, by 2**52 modulo a prime."""
    p, inverse, one = modulus
    return reduced((sums[i, 0], sums[i, 1], sums[i, 2]), p, inverse, one)


@cuda.jit(device=True, inline="always")
def modulus_of(constants, prime):  # type: ignore[no-untyped-def]
    """Read what sums modulo a prime are reduced with."""
    return constants[prime, MODULUS], constants[prime, MONTGOMERY], constants[prime, ONE]
