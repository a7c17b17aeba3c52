"""Matrix products of ciphertexts on a GPU: sums of products of degree two, modulo one prime at a time.

A thread adds up one word of a few neighbouring results, so that every word of the left side is read once for them. The
left side stays on the GPU for many products, as matrices that share ciphertexts: so its rows are named by their
addresses.
"""

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.transform import THREADS, DeviceArray, DeviceTables, reduced_sum
from he.kernels.cuda.words import madd, word_at
from intnn.machine.cuda.launch import Launch, bound

COLUMNS = 3  # of a row of the result, whose sums one thread holds in registers


def matrix_kernel(left, right, memory, table, row, prime, rows, constants):  # type: ignore[no-untyped-def]
    """Add products (c0 + c1 s)(d0 + d1 s): `products` describes the arguments, ``rows`` is the primes' number."""
    k, n = cuda.grid(2)
    i, first, count, place = table[n, 0], table[n, 1], table[n, 2], table[n, 3] + row
    low, high = cuda.local.array((COLUMNS, 3), uint64), cuda.local.array((COLUMNS, 3), uint64)
    for t in range(COLUMNS):
        for c in range(3):
            low[t, c], high[t, c] = uint64(0), uint64(0)
    for j in range(left.shape[1]):
        c0, c1 = word_at(left[i, j, 0, row], k), word_at(left[i, j, 1, row], k)
        for t in range(COLUMNS):
            if t < count:
                d0, d1 = right[j, first + t, 0, k], right[j, first + t, 1, k]
                low[t, 0], high[t, 0] = madd(low[t, 0], high[t, 0], c0, d0)
                low[t, 1], high[t, 1] = madd(low[t, 1], high[t, 1], c0, d1)
                low[t, 1], high[t, 1] = madd(low[t, 1], high[t, 1], c1, d0)
                low[t, 2], high[t, 2] = madd(low[t, 2], high[t, 2], c1, d1)
    for t in range(COLUMNS):
        if t < count:
            for c in range(3):
                memory[place + (3 * t + c) * rows, k] = reduced_sum(low[t, c], high[t, c], constants, prime)


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


def products(
    tables: DeviceTables,
    left: DeviceArray,
    right: DeviceArray,
    memory: DeviceArray,
    table: DeviceArray,
    prime: tuple[int, int],
) -> Launch:
    """Multiply matrices of ciphertexts modulo one prime.

    Args:
        tables: The chain's.
        left: int64 [rows, terms, 2, primes], the addresses of rows of residues on the GPU, times 2**52.
        right: uint64 [terms, columns, 2, N], of that prime; at most `he.kernels.cuda.columns.MAX_TERMS` terms.
        memory: uint64 [rows, N].
        table: int64 [n, 4], at most 65535 lines: a row of the left side, a column of the right side, the number of
            columns, and the place of the first of their results. A result has 3 primes rows, one after the other: the
            coefficients of 1, s and s**2.
        prime: Its row among the primes of a ciphertext, and its index in the chain.

    Returns:
        What launches it.
    """
    row, index = prime
    threads, primes = min(THREADS, tables.N), left.shape[3]
    arguments = left, right, memory, table, row, index, primes, tables.constants
    return bound(matrix_kernel, (tables.N // threads, len(table)), threads, *arguments)
