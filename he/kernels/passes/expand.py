"""Uniform polynomials from a seed, as SEAL samples them.

A fresh ciphertext names the seed of its second polynomial instead of holding it. SEAL draws bytes from BLAKE2Xb (J.-P.
Aumasson et al., "BLAKE2X", 2016) in buffers of 4096 under a counter, the seed being the key; words at or above the
largest multiple of a prime are drawn again.
"""

import numpy as np

from he.kernels.instructions.lanes import LANES
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import I32, I64, Builder, Value, constant, load, splat, store
from intnn.values.arrays import Array

BUFFER = 4096
INITIAL = np.array(
    [0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
     0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179],
    np.uint64,
)  # fmt: skip
ORDERS = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.int64,
)

PLACES = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


@compiled
def _rotated(x: np.uint64, bits: int) -> np.uint64:
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))


@compiled
def _mix(v: Array, a: int, b: int, c: int, d: int, x: np.uint64, y: np.uint64) -> None:
    v[a] = v[a] + v[b] + x
    v[d] = _rotated(v[d] ^ v[a], 32)
    v[c] = v[c] + v[d]
    v[b] = _rotated(v[b] ^ v[c], 24)
    v[a] = v[a] + v[b] + y
    v[d] = _rotated(v[d] ^ v[a], 16)
    v[c] = v[c] + v[d]
    v[b] = _rotated(v[b] ^ v[c], 63)


@compiled
def compress(state: Array, block: Array, count: int, is_last: bool, v: Array) -> None:
    """Compress uint64 [16] into uint64 [8] in place, as BLAKE2b does; ``v`` is memory to work on, uint64 [16]."""
    for i in range(8):  # a copy by slices would be compiled with the text of an error that cannot happen
        v[i], v[8 + i] = state[i], INITIAL[i]
    v[12] ^= np.uint64(count)
    if is_last:
        v[14] = ~v[14]
    for r in range(12):
        for n in range(8):
            a, b, c, d = PLACES[n]
            _mix(v, a, b, c, d, block[ORDERS[r, 2 * n]], block[ORDERS[r, 2 * n + 1]])
    for i in range(8):
        state[i] ^= v[i] ^ v[8 + i]


def _eight_nodes(b: Builder, root: Value, first: Value, out: Value) -> None:
    """Compute nodes ``first`` to ``first`` + 7 of the output, 64 bytes each, from the root: one in every lane."""
    words, zero = [splat(b, load(b, I64, root, 8 * i), LANES) for i in range(8)], _constant(0)
    block = words + [zero] * 8
    # Digest of 64 bytes, no key, leaves of 64 bytes; the node's number; inner digests of 64 bytes.
    numbers = b.add(splat(b, first, LANES), constant(I64, list(range(LANES))))
    state = [_constant(int(word)) for word in INITIAL]
    state[0] = b.xor(state[0], _constant(64 | 64 << 32))
    state[1] = b.xor(state[1], b.or_(numbers, _constant(BUFFER << 32)))
    state[2] = b.xor(state[2], _constant(64 << 8))
    v = state + [_constant(int(word)) for word in INITIAL]
    v[12] = b.xor(v[12], _constant(64))
    v[14] = b.xor(v[14], _constant(-1))

    def rotated(x: Value, bits: int) -> Value:
        return b.or_(b.lshr(x, _constant(bits)), b.shl(x, _constant(64 - bits)))

    def mix(i: int, j: int, k: int, m: int, x: Value, y: Value) -> None:
        v[i] = b.add(b.add(v[i], v[j]), x)
        v[m] = rotated(b.xor(v[m], v[i]), 32)
        v[k] = b.add(v[k], v[m])
        v[j] = rotated(b.xor(v[j], v[k]), 24)
        v[i] = b.add(b.add(v[i], v[j]), y)
        v[m] = rotated(b.xor(v[m], v[i]), 16)
        v[k] = b.add(v[k], v[m])
        v[j] = rotated(b.xor(v[j], v[k]), 63)

    for order in ORDERS.tolist():
        for n, places in enumerate(PLACES):
            mix(*places, block[order[2 * n]], block[order[2 * n + 1]])
    for i in range(8):
        word = b.xor(state[i], b.xor(v[i], v[8 + i]))
        for lane in range(LANES):
            store(b, b.extract_element(word, I32(lane)), out, 64 * lane + 8 * i)


def _constant(value: int) -> Value:
    return constant(I64, [value] * LANES)


eight_nodes = emitted(_eight_nodes)


@compiled
def buffer(seed: Array, counter: int, out: Array) -> None:
    """Write the ``counter``-th 4096 bytes of the stream under a seed uint64 [8] to uint64 [512]."""
    v, block = np.empty(16, np.uint64), np.zeros(16, np.uint64)
    root = INITIAL.copy()
    # Digest of 64 bytes, key of 64, fan-out and depth 1; and in the second word the length of the whole output.
    root[0] ^= np.uint64(0x01014040)
    root[1] ^= np.uint64(BUFFER << 32)
    for i in range(8):
        block[i] = seed[i]
    compress(root, block, 128, False, v)
    block[:] = 0
    block[0] = counter
    compress(root, block, 136, True, v)
    nodes(root, out)


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
