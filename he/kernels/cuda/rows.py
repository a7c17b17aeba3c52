"""What is computed word by word from rows of one memory on a GPU: the residues of the CPU's kernels, bit for bit.

A polynomial modulo one prime is a row of uint64 [rows, N]. A kernel takes a table, int64, with a line for every row or
pair of rows that it writes: so one launch does for many values, levels and primes. Sums name their terms by a range of
lines of a second table. Every thread reads one word of each row that it needs: neighbours read neighbouring words, and
an automorphism moves eight neighbours together, which are two sectors of memory.

Constants in tables are held times 2**52, as on the host, and so are rows of factors: plaintexts and keys. Sums of
products are held in 128 bits and reduced once.
"""

from functools import cache
from typing import Any

from numba import cuda, uint64

from he.kernels.cuda.columns import FIRST, STOP
from he.kernels.cuda.transform import (
    MODULUS,
    RADIX,
    RADIX_QUOTIENT,
    THREADS,
    DeviceArray,
    DeviceTables,
    reduced_sum,
)
from he.kernels.cuda.words import add_share, below, madd, times
from intnn.machine.cuda.launch import Launch, bound


@cache
def combination(tile: int) -> Any:
    """Make the kernel of ``tile`` sums of multiples of the same rows, each plus a number for either half."""

    def combine_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
        k, n = cuda.grid(2)
        prime = table[n, 2]
        low, high = cuda.local.array(tile, uint64), cuda.local.array(tile, uint64)
        for t in range(tile):
            low[t], high[t] = uint64(0), uint64(0)
        for i in range(table[n, FIRST], table[n, STOP]):
            row = terms[i, 0]
            value = memory[row, k] if row >= 0 else factors[~row, k]
            for t in range(tile):
                low[t], high[t] = madd(low[t], high[t], value, uint64(terms[i, 1 + t]))
        half = 0 if 2 * k < memory.shape[1] else 1
        for t in range(tile):
            out = table[n, 3 + 3 * t]
            if out >= 0:
                value = reduced_sum(low[t], high[t], constants, prime) + uint64(table[n, 4 + 3 * t + half])
                memory[out, k] = below(value, constants[prime, MODULUS])

    return combine_kernel


def products_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of two rows with one factor, for two sums at once: what they are multiplied with is read once."""
    k, n = cuda.grid(2)
    prime = table[n, 4]
    low0, high0, low1, high1 = uint64(0), uint64(0), uint64(0), uint64(0)
    for i in range(table[n, FIRST], table[n, STOP]):
        w = factors[terms[i, 2], k]
        low0, high0 = madd(low0, high0, memory[terms[i, 0], k], w)
        low1, high1 = madd(low1, high1, memory[terms[i, 1], k], w)
    memory[table[n, 2], k] = reduced_sum(low0, high0, constants, prime)
    memory[table[n, 3], k] = reduced_sum(low1, high1, constants, prime)


def switch_kernel(memory, keys, orders, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of digits with both halves of a key, and a multiple of a row, and permute both sums."""
    k, n = cuda.grid(2)
    prime, added, order = table[n, 4], table[n, 5], table[n, 7]
    at = k if order < 0 else orders[order, k]
    low0, high0, low1, high1 = uint64(0), uint64(0), uint64(0), uint64(0)
    if added >= 0:
        low0, high0 = madd(low0, high0, memory[added, at], uint64(table[n, 6]))
    for i in range(table[n, FIRST], table[n, STOP]):
        digit = memory[terms[i, 0], at]
        low0, high0 = madd(low0, high0, digit, keys[terms[i, 1], at])
        low1, high1 = madd(low1, high1, digit, keys[terms[i, 2], at])
    memory[table[n, 2], k] = reduced_sum(low0, high0, constants, prime)
    memory[table[n, 3], k] = reduced_sum(low1, high1, constants, prime)


def extend_kernel(memory, table, terms, shares, constants):  # type: ignore[no-untyped-def]
    """Take coefficients from several primes to one more, see `he.kernels.passes.extension`.

    Fractions in floating point decide which multiple of a modulus is subtracted: they are added in the order of the
    CPU's kernels, and rounded as often.
    """
    k, n = cuda.grid(2)
    prime, share = table[n, 3], 0.5
    low, high = uint64(0), uint64(0)
    for i in range(table[n, FIRST], table[n, STOP]):
        value = memory[terms[i, 0], k]
        share = add_share(share, value, shares[i])
        low, high = madd(low, high, value, uint64(terms[i, 1]))
    low, high = madd(low, high, uint64(share), uint64(table[n, 4]))
    memory[table[n, 2], k] = reduced_sum(low, high, constants, prime)


@cuda.jit(device=True, inline="always")
def _tensor(x0, x1, y0, y1, prime, constants):  # type: ignore[no-untyped-def]
    """Multiply x0 + x1 s with y0 + y1 s: the product has three components."""
    p, r, r_quotient = constants[prime, MODULUS], constants[prime, RADIX], constants[prime, RADIX_QUOTIENT]
    y0, y1, zero = times(y0, r, r_quotient, p), times(y1, r, r_quotient, p), uint64(0)
    low, high = madd(zero, zero, x0, y0)
    first = reduced_sum(low, high, constants, prime)
    low, high = madd(zero, zero, x0, y1)
    low, high = madd(low, high, x1, y0)
    second = reduced_sum(low, high, constants, prime)
    low, high = madd(zero, zero, x1, y1)
    return first, second, reduced_sum(low, high, constants, prime)


def tensor_sums_kernel(memory, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of x0 + x1 s with factors f0 + f1 s, which are held times 2**52."""
    k, n = cuda.grid(2)
    prime, zero = table[n, 5], uint64(0)
    low0, high0, low1, high1, low2, high2 = zero, zero, zero, zero, zero, zero
    for i in range(table[n, FIRST], table[n, STOP]):
        x0, x1 = memory[terms[i, 0], k], memory[terms[i, 1], k]
        f0, f1 = memory[terms[i, 2], k], memory[terms[i, 3], k]
        low0, high0 = madd(low0, high0, x0, f0)
        low1, high1 = madd(low1, high1, x0, f1)
        low1, high1 = madd(low1, high1, x1, f0)
        low2, high2 = madd(low2, high2, x1, f1)
    memory[table[n, 2], k] = reduced_sum(low0, high0, constants, prime)
    memory[table[n, 3], k] = reduced_sum(low1, high1, constants, prime)
    memory[table[n, 4], k] = reduced_sum(low2, high2, constants, prime)


def tensor_kernel(memory, table, constants):  # type: ignore[no-untyped-def]
    """Multiply x0 + x1 s with y0 + y1 s: rows x0, x1, y0, y1, three to be written, and the prime."""
    k, n = cuda.grid(2)
    x0, x1, y0, y1 = (memory[table[n, 0], k], memory[table[n, 1], k], memory[table[n, 2], k], memory[table[n, 3], k])
    first, second, third = _tensor(x0, x1, y0, y1, table[n, 7], constants)
    memory[table[n, 4], k], memory[table[n, 5], k], memory[table[n, 6], k] = first, second, third


def square_parts_kernel(memory, table, constants):  # type: ignore[no-untyped-def]
    """Compute (x + y)**2 + w (x - y)**2, see `he.kernels.passes.evaluate.square_parts`.

    After the columns of `tensor_kernel` come the w of the first and of the second half.
    """
    k, n = cuda.grid(2)
    prime = table[n, 7]
    p, zero = constants[prime, MODULUS], uint64(0)
    x0, x1, y0, y1 = (memory[table[n, 0], k], memory[table[n, 1], k], memory[table[n, 2], k], memory[table[n, 3], k])
    a0, a1, b0, b1 = below(x0 + y0, p), below(x1 + y1, p), below(x0 + (p - y0), p), below(x1 + (p - y1), p)
    a, b = _tensor(a0, a1, a0, a1, prime, constants), _tensor(b0, b1, b0, b1, prime, constants)
    w = uint64(table[n, 8] if 2 * k < memory.shape[1] else table[n, 9])
    for c in range(3):
        low, high = madd(zero, zero, b[c], w)
        memory[table[n, 4 + c], k] = below(a[c] + reduced_sum(low, high, constants, prime), p)


def combine(
    tables: DeviceTables,
    memory: DeviceArray,
    factors: DeviceArray,
    table: DeviceArray,
    terms: DeviceArray,
) -> list[Launch]:
    """Add multiples of rows, and a number for either half of the words.

    Args:
        tables: The chain's.
        memory: uint64 [rows, N].
        factors: uint64 [other rows, N], which line ~i of ``terms`` names as i.
        table: int64 [n, 3 + 3 tile]: a range of terms, the prime, and for every sum its row, or -1, and the numbers for
            both halves, as they are.
        terms: int64 [terms, 1 + tile]: a row, and what it is multiplied with in every sum.
    """
    kernel = combination((table.shape[1] - 3) // 3)
    return [_each(kernel, tables, table, memory, factors, table, terms, tables.constants)]


def products(
    tables: DeviceTables,
    memory: DeviceArray,
    factors: DeviceArray,
    table: DeviceArray,
    terms: DeviceArray,
) -> list[Launch]:
    """Add products of rows with rows of factors.

    Args:
        tables: The chain's.
        memory: uint64 [rows, N].
        factors: uint64 [other rows, N], times 2**52.
        table: int64 [n, 5]: a range of terms, the two rows that are written, and the prime.
        terms: int64 [terms, 3]: a row of either sum, and a row of factors.
    """
    return [_each(products_kernel, tables, table, memory, factors, table, terms, tables.constants)]


def switch(
    tables: DeviceTables,
    memory: DeviceArray,
    keys: DeviceArray,
    orders: DeviceArray,
    table: DeviceArray,
    terms: DeviceArray,
) -> list[Launch]:
    """Multiply digits with keys, for a key switch or a rotation.

    Args:
        tables: The chain's.
        memory: uint64 [rows, N].
        keys: uint64 [key rows, N], times 2**52; those of rotations permuted by the inverse automorphism.
        orders: int32 [automorphisms, N], as `he.ring.slots.automorphism` has them.
        table: int64 [n, 8]: a range of terms, the two rows that are written, and the prime; then a row, or -1, of which
            a multiple is added to the first sum, the factor, and the line of ``orders``, or -1.
        terms: int64 [terms, 3]: a digit, and the rows of the key's halves.
    """
    return [_each(switch_kernel, tables, table, memory, keys, orders, table, terms, tables.constants)]


def extend(
    tables: DeviceTables,
    memory: DeviceArray,
    table: DeviceArray,
    terms: DeviceArray,
    shares: DeviceArray,
) -> list[Launch]:
    """Take coefficients from several primes to others.

    Args:
        tables: The chain's.
        memory: uint64 [rows, N].
        table: int64 [n, 5]: a range of terms, the row that is written, its prime, and -Q times 2**52.
        terms: int64 [terms, 2]: a row of coefficients times their hats, and Q / q_i times 2**52.
        shares: float64 [terms], 1 / q_i.
    """
    return [_each(extend_kernel, tables, table, memory, table, terms, shares, tables.constants)]


def tensor(tables: DeviceTables, memory: DeviceArray, table: DeviceArray) -> list[Launch]:
    """Multiply ciphertexts; the table is `tensor_kernel`'s."""
    return [_each(tensor_kernel, tables, table, memory, table, tables.constants)]


def tensor_sums(tables: DeviceTables, memory: DeviceArray, table: DeviceArray, terms: DeviceArray) -> list[Launch]:
    """Add products of ciphertexts.

    Args:
        tables: The chain's.
        memory: uint64 [rows, N].
        table: int64 [n, 6]: a range of terms, the three rows that are written, and the prime.
        terms: int64 [terms, 4]: both rows of a ciphertext, and of one that is held times 2**52.
    """
    return [_each(tensor_sums_kernel, tables, table, memory, table, terms, tables.constants)]


def square_parts(tables: DeviceTables, memory: DeviceArray, table: DeviceArray) -> list[Launch]:
    """Square both parts of ciphertexts; the table is `square_parts_kernel`'s."""
    return [_each(square_parts_kernel, tables, table, memory, table, tables.constants)]


def _each(kernel: Any, tables: DeviceTables, table: DeviceArray, *arguments: Any) -> Launch:
    """Return what starts a kernel with one thread for every word of every line."""
    threads = min(THREADS, tables.N)
    return bound(kernel, (tables.N // threads, len(table)), threads, *arguments)
