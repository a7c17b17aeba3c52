"""Uniform polynomials from a seed, as SEAL samples them.

A fresh ciphertext names the seed of its second polynomial instead of holding it. SEAL draws bytes from BLAKE2Xb (J.-P.
Aumasson et al., "BLAKE2X", 2016) in buffers of 4096 under a counter, the seed being the key; words at or above the
largest multiple of a prime are drawn again.
"""

import numpy as np

from he.kernels.instructions import blake
from he.kernels.instructions.blake import BUFFER
from he.kernels.instructions.multiply import LANES
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import I32, I64, Builder, Value, constant, load, splat, store
from intnn.values.arrays import Array


def _root(b: Builder, seed: Value, counter: Value, out: Value) -> None:
    """Compute the root of a buffer from the address of a seed."""
    words = [load(b, I64, seed, 8 * i) for i in range(8)]
    for i, word in enumerate(blake.root(blake.Emitted(b, I64), words, counter)):
        store(b, word, out, 8 * i)


def _eight_nodes(b: Builder, root: Value, first: Value, out: Value) -> None:
    """Compute nodes ``first`` to ``first`` + 7 of the output, 64 bytes each, from the root: one in every lane."""
    words = [splat(b, load(b, I64, root, 8 * i), LANES) for i in range(8)]
    numbers = b.add(splat(b, first, LANES), constant(I64, list(range(LANES))))
    for i, word in enumerate(blake.node(blake.Emitted(b, _lanes), words, numbers)):
        for lane in range(LANES):
            store(b, b.extract_element(word, I32(lane)), out, 64 * lane + 8 * i)


def _lanes(number: int) -> Value:
    return constant(I64, [number] * LANES)


root_of, eight_nodes = emitted(_root), emitted(_eight_nodes)


@compiled
def buffer(seed: Array, counter: int, out: Array) -> None:
    """Write the ``counter``-th 4096 bytes of the stream under a seed uint64 [8] to uint64 [512]."""
    root = np.empty(8, np.uint64)
    begin(seed, counter, root)
    nodes(root, out)


@compiled
def begin(seed: Array, counter: int, root: Array) -> None:
    """Compute BLAKE2X's root of a buffer, uint64 [8]."""
    root_of((seed.ctypes.data, counter, root.ctypes.data))


@compiled
def nodes(root: Array, out: Array) -> None:
    """Compute all of the output from BLAKE2X's root, uint64 [8]."""
    for i in range(0, len(out) // 8, LANES):
        eight_nodes((root.ctypes.data, i, out[8 * i :].ctypes.data))


@compiled
def remainders(row: Array, p: np.uint64) -> None:
    """Reduce words modulo p, at least 2**20, in place, by a quotient in floating point that is off by one at most."""
    inverse = 1.0 / np.float64(p)
    for k in range(row.size):
        word = row[k]
        rest = word - np.uint64(np.float64(word) * inverse) * p
        rest = min(rest, rest + p)  # unsigned: huge where it is negative
        row[k] = min(rest, rest - p)


@compiled
def uniform(seed: Array, primes: Array, out: Array) -> None:
    """Draw SEAL's uniform polynomial uint64 [level, N] modulo primes int64 [level] from a seed uint64 [8].

    N is at least 512, so that whole buffers are used up before any word is drawn again.
    """
    words = np.empty(BUFFER // 8, np.uint64)
    flat, counter = out.reshape(-1), 0
    for start in range(0, flat.size, words.size):
        buffer(seed, counter, flat[start : start + words.size])
        counter += 1
    used = words.size
    for j in range(len(out)):
        p, row = np.uint64(primes[j]), out[j]
        largest = np.uint64(0xFFFFFFFFFFFFFFFF)
        limit = largest - largest % p - np.uint64(1)
        refused = 0
        for k in range(row.size):
            refused += row[k] >= limit
        for k in range(row.size if refused else 0):
            while row[k] >= limit:
                if used == words.size:
                    buffer(seed, counter, words)
                    counter, used = counter + 1, 0
                row[k] = words[used]
                used += 1
        remainders(row, p)
