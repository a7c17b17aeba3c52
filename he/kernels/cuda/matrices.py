"""Matrix products of ciphertexts on a GPU: sums of products of degree two, modulo every prime.

A thread adds up one word of a few neighbouring results, so that every word of the left side is read once for them. Both
sides lie on the GPU wherever their ciphertexts have been made, and matrices share ciphertexts: so rows are named by
their addresses.
"""

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.sums import CHUNK, add, carry, clear, modulus_of, total
from he.kernels.cuda.tables import MODULUS, RADIX, RADIX_QUOTIENT, DeviceArray, DeviceTables
from he.kernels.cuda.transform import THREADS
from he.kernels.cuda.words import below, limbs, times, word_at
from intnn.machine.cuda.launch import Launch, bound, parts

COLUMNS = 3  # of a row of the result, whose sums one thread holds in registers
SUMS = 3 * COLUMNS


def matrix_kernel(left, right, memory, table, primes, constants):  # type: ignore[no-untyped-def]
    """Add products (c0 + c1 s)(d0 + d1 s) modulo one prime: `products` describes the arguments."""
    k, n, row = cuda.grid(3)
    prime, rows = primes[row], primes.shape[0]
    i, first, count, place = table[n, 0], table[n, 1], table[n, 2], table[n, 3] + row
    sums, modulus = cuda.local.array((SUMS, 3), uint64), modulus_of(constants, prime)
    clear(sums)
    for j in range(left.shape[1]):
        c0, c1 = limbs(word_at(left[i, j, 0, row], k)), limbs(word_at(left[i, j, 1, row], k))
        for t in range(COLUMNS):
            if t < count:
                d0 = limbs(word_at(right[j, first + t, 0, row], k))
                d1 = limbs(word_at(right[j, first + t, 1, row], k))
                add(sums, 3 * t, c0, d0)
                add(sums, 3 * t + 1, c0, d1)
                add(sums, 3 * t + 1, c1, d0)
                add(sums, 3 * t + 2, c1, d1)
        if j % CHUNK == CHUNK - 1:
            carry(sums)
    carry(sums)
    for t in range(COLUMNS):
        if t < count:
            for c in range(3):
                memory[place + (3 * t + c) * rows, k] = total(sums, 3 * t + c, modulus)


def raise_kernel(memory, constants):  # type: ignore[no-untyped-def]
    """Multiply a residue with 2**52."""
    k, j, c = cuda.grid(3)
    p, r, r_quotient = constants[j, MODULUS], constants[j, RADIX], constants[j, RADIX_QUOTIENT]
    memory[c, j, k] = below(times(memory[c, j, k], r, r_quotient, p), p)


def lines(columns: int, first: int, stop: int) -> np.ndarray:
    """Return the table of `products` for results ``first`` to ``stop`` of a matrix, but for places: those are numbers.

    Returns:
        int64 [n, 4]: the row of the left side, the first column, the number of columns, and the number of the first of
        these results among all from ``first`` on.
    """
    found, at = list[tuple[int, int, int, int]](), first
    while at < stop:
        row, column = divmod(at, columns)
        count = min(COLUMNS, columns - column, stop - at)
        found.append((row, column, count, at - first))
        at += count
    return np.array(found, np.int64)


def raised(tables: DeviceTables, memory: DeviceArray) -> list[Launch]:
    """Multiply residues with 2**52, as the left side of products holds them.

    Args:
        tables: The chain's.
        memory: uint64 [polynomials, primes, N], primes are the chain's first ones.

    Returns:
        What launches it.
    """
    threads, (polynomials, primes, N) = min(THREADS, tables.N), memory.shape
    return [
        bound(raise_kernel, (N // threads, primes, part.stop - part.start), threads, memory[part], tables.constants)
        for part in parts(polynomials)
    ]


def products(
    tables: DeviceTables,
    left: DeviceArray,
    right: DeviceArray,
    memory: DeviceArray,
    table: DeviceArray,
    primes: DeviceArray,
) -> Launch:
    """Multiply matrices of ciphertexts.

    Args:
        tables: The chain's.
        left: int64 [rows, terms, 2, primes], the addresses of rows of residues on the GPU, times 2**52.
        right: int64 [terms, columns, 2, primes], the same of residues as they are; at most half as many terms as
            `he.kernels.cuda.columns.MAX_PRODUCTS`.
        memory: uint64 [rows, N].
        table: int64 [n, 4], at most 65535 lines: a row of the left side, a column of the right side, the number of
            columns, and the place of the first of their results. A result has 3 primes rows, one after the other: the
            coefficients of 1, s and s**2.
        primes: int64 [primes], their indices in the chain.

    Returns:
        What launches it.
    """
    threads = min(THREADS, tables.N)
    grid = tables.N // threads, len(table), len(primes)
    return bound(matrix_kernel, grid, threads, left, right, memory, table, primes, tables.constants)
