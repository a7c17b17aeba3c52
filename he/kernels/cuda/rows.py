"""What is computed word by word from rows of one memory on a GPU: the residues of the CPU's kernels, bit for bit.

A polynomial modulo one prime is a row of uint64 [rows, N]. A kernel takes a table, uint64, with a line for every row or
pair of rows that it writes: so one launch does for many values, levels and primes. Sums name their terms by a range of
lines of a second table. Every thread reads one word of each row that it needs: neighbours read neighbouring words, and
an automorphism moves eight neighbours together, which are two sectors of memory.

Constants in tables are held times 2**52, as on the host, and so are rows of factors: plaintexts and keys. Sums of
products are held in three words (`he.kernels.cuda.words`), and reduced once.
"""

from functools import cache
from typing import Any

from numba import cuda, uint64

from he.kernels.cuda.columns import FIRST, STOP
from he.kernels.cuda.tables import (
    MODULUS,
    MONTGOMERY,
    ONE,
    RADIX,
    RADIX_QUOTIENT,
    DeviceArray,
    DeviceTables,
)
from he.kernels.cuda.transform import NOTHING, THREADS
from he.kernels.cuda.words import add_share, below, carried, given_limbs, limbs, madd, reduced, times, word_of
from intnn.machine.cuda.launch import Launch, bound

CHUNK = 1 << 12  # terms of a sum, of two products each, which its second word has room for
NAMED = 1 << 63  # rows of the memory are below, and rows ~i of factors are not


@cuda.jit(device=True, inline="always")
def nothing():  # type: ignore[no-untyped-def]
    """Begin a sum of products."""
    return uint64(0), uint64(0), uint64(0)


@cuda.jit(device=True, inline="always")
def word():  # type: ignore[no-untyped-def]
    """Say which word of which line is this thread's; no index that is unsigned is tested for being negative."""
    k, n = cuda.grid(2)
    return uint64(k), uint64(n)


@cuda.jit(device=True, inline="always")
def reduced_sum(sums, constants, prime):  # type: ignore[no-untyped-def]
    """Divide a sum of products, which is carried, by 2**52 modulo a prime."""
    return reduced(sums, constants[prime, MODULUS], constants[prime, MONTGOMERY], constants[prime, ONE])


@cuda.jit(device=True, inline="always")
def chunk_stop(first, stop):  # type: ignore[no-untyped-def]
    """Say where a sum's terms end that are added before it is carried."""
    return min(first + uint64(CHUNK), stop)


@cache
def combination(tile: int) -> Any:
    """Make the kernel of ``tile`` sums of multiples of the same rows, each plus a number for either half."""

    def combine_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
        k, n = word()
        sums = cuda.local.array((tile, 3), uint64)
        for t in range(tile):
            sums[t, 0], sums[t, 1], sums[t, 2] = nothing()
        first, stop = table[n, FIRST], table[n, STOP]
        while first < stop:
            for i in range(first, chunk_stop(first, stop)):
                row = terms[i, 0]
                value = limbs(word_of(memory, row, k) if row < NAMED else word_of(factors, ~row, k))
                for t in range(tile):
                    so_far = sums[t, 0], sums[t, 1], sums[t, 2]
                    sums[t, 0], sums[t, 1], sums[t, 2] = madd(so_far, value, given_limbs(terms[i, 1 + t]))
            for t in range(tile):
                sums[t, 0], sums[t, 1], sums[t, 2] = carried((sums[t, 0], sums[t, 1], sums[t, 2]))
            first += uint64(CHUNK)
        prime, half = table[n, 2], uint64(k >= uint64(memory.shape[1] // 2))
        for t in range(tile):
            out = table[n, 3 + 3 * t]
            if out != NOTHING:
                value = reduced_sum((sums[t, 0], sums[t, 1], sums[t, 2]), constants, prime)
                memory[out, k] = below(value + table[n, uint64(4 + 3 * t) + half], constants[prime, MODULUS])

    return combine_kernel


def products_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of two rows with one factor, for two sums at once: what they are multiplied with is read once."""
    k, n = word()
    one, other = nothing(), nothing()
    first, stop = table[n, FIRST], table[n, STOP]
    while first < stop:
        for i in range(first, chunk_stop(first, stop)):
            w = limbs(word_of(factors, terms[i, 2], k))
            one = madd(one, limbs(word_of(memory, terms[i, 0], k)), w)
            other = madd(other, limbs(word_of(memory, terms[i, 1], k)), w)
        one, other = carried(one), carried(other)
        first += uint64(CHUNK)
    prime = table[n, 4]
    memory[table[n, 2], k] = reduced_sum(one, constants, prime)
    memory[table[n, 3], k] = reduced_sum(other, constants, prime)


def switch_kernel(memory, keys, orders, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of digits with both halves of a key, and a multiple of a row, and permute both sums."""
    k, n = word()
    added, order = table[n, 5], table[n, 7]
    at = k if order == NOTHING else uint64(orders[order, k])
    one, other = nothing(), nothing()
    if added != NOTHING:
        one = madd(one, limbs(word_of(memory, added, at)), limbs(table[n, 6]))
    for i in range(table[n, FIRST], table[n, STOP]):  # digits: they are few
        digit = limbs(word_of(memory, terms[i, 0], at))
        one = madd(one, digit, limbs(word_of(keys, terms[i, 1], at)))
        other = madd(other, digit, limbs(word_of(keys, terms[i, 2], at)))
    prime = table[n, 4]
    memory[table[n, 2], k] = reduced_sum(carried(one), constants, prime)
    memory[table[n, 3], k] = reduced_sum(carried(other), constants, prime)


def extend_kernel(memory, table, terms, shares, constants):  # type: ignore[no-untyped-def]
    """Take coefficients from several primes, which are few, to one more, see `he.kernels.passes.extension`.

    Fractions in floating point decide which multiple of a modulus is subtracted: they are added in the order of the
    CPU's kernels, and rounded as often.
    """
    k, n = word()
    share, total = 0.5, nothing()
    for i in range(table[n, FIRST], table[n, STOP]):
        value = word_of(memory, terms[i, 0], k)
        share = add_share(share, value, shares[i])
        total = madd(total, limbs(value), given_limbs(terms[i, 1]))
    total = madd(total, limbs(uint64(share)), limbs(table[n, 4]))
    memory[table[n, 2], k] = reduced_sum(carried(total), constants, table[n, 3])


@cuda.jit(device=True, inline="always")
def _product(x, y, constants, prime):  # type: ignore[no-untyped-def]
    """Multiply two numbers, which are given as limbs, and divide by 2**52 modulo a prime."""
    return reduced_sum(carried(madd(nothing(), x, y)), constants, prime)


@cuda.jit(device=True, inline="always")
def _tensor(x0, x1, y0, y1, prime, constants):  # type: ignore[no-untyped-def]
    """Multiply x0 + x1 s with y0 + y1 s: the product has three components."""
    p, r, r_quotient = constants[prime, MODULUS], constants[prime, RADIX], constants[prime, RADIX_QUOTIENT]
    f0, f1 = limbs(below(times(y0, r, r_quotient, p), p)), limbs(below(times(y1, r, r_quotient, p), p))
    x0, x1 = limbs(x0), limbs(x1)
    second = reduced_sum(carried(madd(madd(nothing(), x0, f1), x1, f0)), constants, prime)
    return _product(x0, f0, constants, prime), second, _product(x1, f1, constants, prime)


def tensor_sums_kernel(memory, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of x0 + x1 s with factors f0 + f1 s, which are held times 2**52."""
    k, n = word()
    one, two, three = nothing(), nothing(), nothing()
    first, stop = table[n, FIRST], table[n, STOP]
    while first < stop:
        for i in range(first, chunk_stop(first, stop)):
            x0, x1 = limbs(word_of(memory, terms[i, 0], k)), limbs(word_of(memory, terms[i, 1], k))
            f0, f1 = limbs(word_of(memory, terms[i, 2], k)), limbs(word_of(memory, terms[i, 3], k))
            one, two, three = madd(one, x0, f0), madd(madd(two, x0, f1), x1, f0), madd(three, x1, f1)
        one, two, three = carried(one), carried(two), carried(three)
        first += uint64(CHUNK)
    prime = table[n, 5]
    memory[table[n, 2], k] = reduced_sum(one, constants, prime)
    memory[table[n, 3], k] = reduced_sum(two, constants, prime)
    memory[table[n, 4], k] = reduced_sum(three, constants, prime)


def tensor_kernel(memory, table, constants):  # type: ignore[no-untyped-def]
    """Multiply x0 + x1 s with y0 + y1 s: rows x0, x1, y0, y1, three to be written, and the prime."""
    k, n = word()
    x0, x1 = word_of(memory, table[n, 0], k), word_of(memory, table[n, 1], k)
    y0, y1 = word_of(memory, table[n, 2], k), word_of(memory, table[n, 3], k)
    first, second, third = _tensor(x0, x1, y0, y1, table[n, 7], constants)
    memory[table[n, 4], k], memory[table[n, 5], k], memory[table[n, 6], k] = first, second, third


def square_parts_kernel(memory, table, constants):  # type: ignore[no-untyped-def]
    """Compute (x + y)**2 + w (x - y)**2, see `he.kernels.passes.evaluate.square_parts`.

    After the columns of `tensor_kernel` come the w of the first and of the second half.
    """
    k, n = word()
    prime = table[n, 7]
    p = constants[prime, MODULUS]
    x0, x1 = word_of(memory, table[n, 0], k), word_of(memory, table[n, 1], k)
    y0, y1 = word_of(memory, table[n, 2], k), word_of(memory, table[n, 3], k)
    a0, a1, b0, b1 = below(x0 + y0, p), below(x1 + y1, p), below(x0 + (p - y0), p), below(x1 + (p - y1), p)
    a, b = _tensor(a0, a1, a0, a1, prime, constants), _tensor(b0, b1, b0, b1, prime, constants)
    w = limbs(table[n, uint64(8) + uint64(k >= uint64(memory.shape[1] // 2))])
    for c in range(3):
        memory[table[n, 4 + c], k] = below(a[c] + _product(limbs(b[c]), w, constants, prime), p)


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
        table: uint64 [n, 3 + 3 tile]: a range of terms, the prime, and for every sum its row, or `NOTHING`, and the
            numbers for both halves, as they are.
        terms: uint64 [terms, 1 + tile]: a row, and what it is multiplied with in every sum, in limbs.
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
        table: uint64 [n, 5]: a range of terms, the two rows that are written, and the prime.
        terms: uint64 [terms, 3]: a row of either sum, and a row of factors.
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
        table: uint64 [n, 8]: a range of terms, the two rows that are written, and the prime; then a row, or `NOTHING`,
            of which a multiple is added to the first sum, the factor, and the line of ``orders``, or `NOTHING`.
        terms: uint64 [terms, 3]: a digit, and the rows of the key's halves.
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
        table: uint64 [n, 5]: a range of terms, the row that is written, its prime, and -Q times 2**52.
        terms: uint64 [terms, 2]: a row of coefficients times their hats, and Q / q_i times 2**52 in limbs.
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
        table: uint64 [n, 6]: a range of terms, the three rows that are written, and the prime.
        terms: uint64 [terms, 4]: both rows of a ciphertext, and of one that is held times 2**52.
    """
    return [_each(tensor_sums_kernel, tables, table, memory, table, terms, tables.constants)]


def square_parts(tables: DeviceTables, memory: DeviceArray, table: DeviceArray) -> list[Launch]:
    """Square both parts of ciphertexts; the table is `square_parts_kernel`'s."""
    return [_each(square_parts_kernel, tables, table, memory, table, tables.constants)]


def _each(kernel: Any, tables: DeviceTables, table: DeviceArray, *arguments: Any) -> Launch:
    """Return what starts a kernel with one thread for every word of every line."""
    threads = min(THREADS, tables.N)
    return bound(kernel, (tables.N // threads, len(table)), threads, *arguments)
