"""Ciphertexts as they come, on a GPU: bits become residues, and seeds the polynomials that they name, bit for bit.

What comes is words of 64 bits, uint64 [ciphertexts, words]: every row of residues begins with one, and a seed is eight
of them at the end (`he.formats.compact`). What becomes of it is uint64 [ciphertexts, 2, level, N], and the index of a
prime among constants is its place in a level.

A seed names a stream of buffers, each of a root, which takes two compressions, and of 64 nodes, which take one each.
So roots are computed first, a thread for each. A warp issues as much for one thread as for 32: if every thread computed
the root of its node too, a buffer would be six compressions of a warp; if one did and others waited, four; this is two
and a sixteenth.

Words of the stream that are at or above the largest multiple of a prime are replaced, in the order of all rows, by
words of the buffers behind the last one, which may have to be replaced themselves. With primes of 50 bits that is one
word of 16384 at most: threads mark them, a bit a word, and one thread of each ciphertext goes through the marks, draws
words, and goes on until there are none. It needs no memory for spare words, so their number has no limit.
"""

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.columns import LAYOUT_COLUMNS, ROOT_BYTES
from he.kernels.cuda.streams import node, root
from he.kernels.cuda.tables import MODULUS, ONE, DeviceArray
from he.kernels.cuda.transform import THREADS
from he.kernels.cuda.words import below, times
from he.kernels.instructions.blake import BUFFER, NODE
from he.ring.packed import SEED_BYTES, word_bits
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import Launch, bound, parts

START, WIDTH, POLYNOMIAL, PRIME = range(LAYOUT_COLUMNS)
SEED, NODE_WORDS, NODES = SEED_BYTES // 8, NODE // 8, BUFFER // NODE  # words of a seed and a node, nodes of a buffer
ROOT = ROOT_BYTES // 8  # words of a root
MARKS = 64  # words of a stream whose marks one thread looks at
REDRAW_THREADS = 4 if SIMULATED else 128
EXPAND_THREADS = 8 if SIMULATED else 64  # so few that one request's buffers go to all multiprocessors alike


def unpack_kernel(packed, layout, constants, residues, wrong):  # type: ignore[no-untyped-def]
    """Read one residue: neighbours read neighbouring bits. One that is not below its prime is reported, and is 0."""
    k, n, c = cuda.grid(3)
    width, polynomial, prime = layout[n, WIDTH], layout[n, POLYNOMIAL], layout[n, PRIME]
    place = k * width
    at, held = layout[n, START] + (place >> 6), place & 63
    word = packed[c, at] >> uint64(held)
    if held + width > 64:
        word |= packed[c, at + 1] << uint64(64 - held)
    word &= uint64(0xFFFFFFFFFFFFFFFF) >> uint64(64 - width)
    if word >= constants[prime, MODULUS]:
        wrong[0] = uint64(1)
        word = uint64(0)
    residues[c, polynomial, prime, k] = word


@cuda.jit(device=True, inline="always")
def eight(words, c, at):  # type: ignore[no-untyped-def]
    """Read eight words from this one on."""
    return (
        words[c, at], words[c, at + 1], words[c, at + 2], words[c, at + 3],
        words[c, at + 4], words[c, at + 5], words[c, at + 6], words[c, at + 7],
    )  # fmt: skip


@cuda.jit(device=True, inline="always")
def drawn_below(p, one):  # type: ignore[no-untyped-def]
    """Return what words of a stream must be below: SEAL's largest multiple of a prime, less one."""
    return one * p - uint64(1)


def roots_kernel(packed, roots):  # type: ignore[no-untyped-def]
    """Compute the root of one buffer."""
    b, c = cuda.grid(2)
    if b * ROOT < roots.shape[1]:
        words = root(eight(packed, c, packed.shape[1] - SEED), b)
        for i in range(ROOT):
            roots[c, b * ROOT + i] = words[i]


def expand_kernel(roots, constants, residues, marks):  # type: ignore[no-untyped-def]
    """Compute one node, reduce its words, and mark those that are to be replaced."""
    i, j, c = cuda.grid(3)
    n = j * (residues.shape[3] // NODE_WORDS) + i
    p, one = constants[j, MODULUS], constants[j, ONE]
    words, limit, marked = node(eight(roots, c, n // NODES * ROOT), n % NODES), drawn_below(p, one), 0
    for w in range(NODE_WORDS):
        residues[c, 1, j, i * NODE_WORDS + w] = below(times(words[w], uint64(1), one, p), p)
        marked |= (1 << w) if words[w] >= limit else 0
    marks[c, n] = marked


def redraw_kernel(packed, marks, constants, residues):  # type: ignore[no-untyped-def]
    """Replace marked words of one ciphertext, a block for each: all its threads look for marks, and one draws."""
    t, c = cuda.threadIdx.x, cuda.blockIdx.x
    found = cuda.shared.array(REDRAW_THREADS, uint64)
    drawn = cuda.shared.array(NODE_WORDS, uint64)
    N, nodes = residues.shape[3], marks.shape[1]
    seed, used = eight(packed, c, packed.shape[1] - SEED), 0
    current = seed
    buffers = (nodes + NODES - 1) // NODES
    for first in range(0, nodes, REDRAW_THREADS * NODE_WORDS):
        bits, at = uint64(0), first + NODE_WORDS * t
        if at < nodes:
            for i in range(NODE_WORDS):
                bits |= uint64(marks[c, at + i]) << uint64(NODE_WORDS * i)
        found[t] = bits
        if cuda.syncthreads_or(1 if bits != uint64(0) else 0):
            if t == 0:
                for s in range(REDRAW_THREADS):
                    bits = found[s]
                    for i in range(MARKS if bits != uint64(0) else 0):
                        if (bits >> uint64(i)) & uint64(1):
                            place = (first + NODE_WORDS * s) * NODE_WORDS + i
                            j = place // N
                            p, one = constants[j, MODULUS], constants[j, ONE]
                            limit = drawn_below(p, one)
                            word = limit
                            while word >= limit:
                                if used % NODE_WORDS == 0:
                                    number = used // NODE_WORDS
                                    if number % NODES == 0:
                                        current = root(seed, buffers + number // NODES)
                                    words = node(current, number % NODES)
                                    for w in range(NODE_WORDS):
                                        drawn[w] = words[w]
                                word = drawn[used % NODE_WORDS]
                                used += 1
                            residues[c, 1, j, place % N] = below(times(word, uint64(1), one, p), p)
            cuda.syncthreads()  # before others' marks replace these


def layout(primes: tuple[int, ...], polynomials: int, N: int) -> np.ndarray:
    """Return where the rows of a ciphertext lie, in the order in which they come.

    Returns:
        int64 [polynomials * level, 4]: the word with which a row begins, the bits of a residue, the row's polynomial,
        and the index of its prime.
    """
    widths = np.array([word_bits(prime) for prime in primes] * polynomials, np.int64)
    sizes, rows = widths * N // 64, np.arange(len(widths))
    return np.stack([np.cumsum(sizes) - sizes, widths, rows // len(primes), rows % len(primes)], axis=1)


def unpack(
    constants: DeviceArray, packed: DeviceArray, layout: DeviceArray, residues: DeviceArray, wrong: DeviceArray
) -> list[Launch]:
    """Unpack the polynomials that come as residues.

    Args:
        constants: uint64 [primes, 6], as `he.kernels.cuda.tables.DeviceTables` has them.
        packed: uint64 [ciphertexts, words].
        layout: What `layout` returns.
        residues: uint64 [ciphertexts, 2, level, N], whose first polynomials are written. N is a multiple of 64.
        wrong: uint64 [1], to which 1 is written where a residue is not below its prime; it is 0 in their place.

    Returns:
        What launches it.
    """
    N = residues.shape[3]
    threads = min(THREADS, N)
    return [
        bound(
            unpack_kernel, (N // threads, len(layout), len(packed[part])), threads,
            packed[part], layout, constants, residues[part], wrong,
        )
        for part in parts(len(packed))
    ]  # fmt: skip


def expand(
    constants: DeviceArray, packed: DeviceArray, roots: DeviceArray, marks: DeviceArray, residues: DeviceArray
) -> list[Launch]:
    """Draw the second polynomials of which there are seeds, as `he.kernels.passes.expand.uniform` does.

    Args:
        constants: uint64 [primes, 6], as `he.kernels.cuda.tables.DeviceTables` has them.
        packed: uint64 [ciphertexts, words].
        roots: uint64 [ciphertexts, 8 buffers], memory to work on.
        marks: uint8 [ciphertexts, nodes], the same.
        residues: uint64 [ciphertexts, 2, level, N], whose second polynomials are written. N is a multiple of 64.

    Returns:
        What launches it, in order.
    """
    buffers, (level, N) = roots.shape[1] // ROOT, residues.shape[2:]
    threads, nodes = min(THREADS, buffers), N // NODE_WORDS
    each, launches = min(EXPAND_THREADS, nodes), list[Launch]()
    for part in parts(len(packed)):
        came, drawn, marked, made = packed[part], roots[part], marks[part], residues[part]
        count = len(came)
        launches += [
            bound(roots_kernel, (-(-buffers // threads), count), threads, came, drawn),
            bound(expand_kernel, (nodes // each, level, count), each, drawn, constants, made, marked),
            bound(redraw_kernel, (count,), REDRAW_THREADS, came, marked, constants, made),
        ]
    return launches
