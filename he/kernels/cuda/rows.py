"""What is computed word by word from rows of one memory on a GPU: the residues of the CPU's kernels, bit for bit.

A polynomial modulo one prime is a row of uint64 [rows, N]. A kernel takes a table, uint64, with a line for every row or
pair of rows that it writes: so one launch does for many values, levels and primes. Sums name their terms by a range of
lines of a second table, which `he.kernels.cuda.sums` lays out as pairs of words. Every thread reads one word of each
row that it needs, or in sums one of either half: neighbours read neighbouring words, and an automorphism moves eight
neighbours together, which are two sectors of memory.

Constants in tables are held times 2**52, as on the host, and so are rows of factors: plaintexts and keys. Sums of
products are held in three words each, and reduced once.
"""

from functools import cache
from typing import Any

from numba import cuda, uint64

from he.kernels.cuda.columns import FIRST, STOP
from he.kernels.cuda.sums import CHUNK, add, carry, clear, modulus_of, total
from he.kernels.cuda.tables import (
    MODULUS,
    RADIX,
    RADIX_QUOTIENT,
    DeviceArray,
    DeviceTables,
)
from he.kernels.cuda.transform import NOTHING, THREADS
from he.kernels.cuda.words import (
    add_share,
    below,
    given_limbs,
    limbs,
    pair_at,
    times,
    word_of,
)
from intnn.machine.cuda.launch import Launch, bound

HALVES = 2  # of a row: a thread of a sum does a word of either
BOTH = 2 * HALVES  # the sums of a thread that makes two
NAMED = 1 << 63  # rows of the memory are below, and rows ~i of factors are not


@cuda.jit(device=True, inline="always")
def word():  # type: ignore[no-untyped-def]
    """Say which word of which line is this thread's; no index that is unsigned is tested for being negative."""
    k, n = cuda.grid(2)
    return uint64(k), uint64(n)


@cuda.jit(device=True, inline="always")
def both_words(memory, factors, row, k, half):  # type: ignore[no-untyped-def]
    """Read two words of a row of the memory or, if it is ~i, of row i of factors."""
    if row < NAMED:
        return word_of(memory, row, k), word_of(memory, row, k + half)
    return word_of(factors, ~row, k), word_of(factors, ~row, k + half)


@cache
def combination(tile: int) -> Any:
    """Make the kernel of ``tile`` sums of multiples of the same rows, each plus a number for either half."""
    pairs, held = tile // 2 + 1, HALVES * tile

    def combine_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
        k, n = word()
        half, modulus = uint64(memory.shape[1] // HALVES), modulus_of(constants, table[n, 2])
        sums = cuda.local.array((held, 3), uint64)
        clear(sums)
        first, stop = table[n, FIRST], table[n, STOP]
        # Words are read one term early, and the rows that they are in two, for both take longer than arithmetic does.
        i, last = first, stop - uint64(1)
        row = pair_at(terms, first * uint64(pairs) + uint64(tile // 2))[tile % 2]
        next_x, next_y = both_words(memory, factors, row, k, half)
        row = pair_at(terms, min(first + uint64(1), last) * uint64(pairs) + uint64(tile // 2))[tile % 2]
        while i < stop:
            x, y = limbs(next_x), limbs(next_y)
            next_x, next_y = both_words(memory, factors, row, k, half)
            row = pair_at(terms, min(i + uint64(2), last) * uint64(pairs) + uint64(tile // 2))[tile % 2]
            for t in range(tile):
                w = given_limbs(pair_at(terms, i * uint64(pairs) + uint64(t // 2))[t % 2])
                add(sums, HALVES * t, x, w)
                add(sums, HALVES * t + 1, y, w)
            i += uint64(1)
            if (i - first) % uint64(CHUNK) == uint64(0):
                carry(sums)
        carry(sums)
        for t in range(tile):
            out = table[n, 3 + 3 * t]
            if out != NOTHING:
                for h in range(HALVES):
                    value = total(sums, HALVES * t + h, modulus) + table[n, 4 + 3 * t + h]
                    memory[out, k + uint64(h) * half] = below(value, modulus[0])

    return combine_kernel


def products_kernel(memory, factors, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of two rows with one factor, for two sums at once: what they are multiplied with is read once."""
    k, n = word()
    half, modulus = uint64(memory.shape[1] // HALVES), modulus_of(constants, table[n, 4])
    sums = cuda.local.array((BOTH, 3), uint64)
    clear(sums)
    first, stop = table[n, FIRST], table[n, STOP]
    i = first
    while i < stop:
        one, other = pair_at(terms, i * uint64(2))
        factor = pair_at(terms, i * uint64(2) + uint64(1))[0]
        for h in range(HALVES):
            at = k + uint64(h) * half
            w = limbs(word_of(factors, factor, at))
            add(sums, h, limbs(word_of(memory, one, at)), w)
            add(sums, HALVES + h, limbs(word_of(memory, other, at)), w)
        i += uint64(1)
        if (i - first) % uint64(CHUNK) == uint64(0):
            carry(sums)
    carry(sums)
    for s in range(2):
        for h in range(HALVES):
            memory[table[n, 2 + s], k + uint64(h) * half] = total(sums, HALVES * s + h, modulus)


def switch_kernel(memory, keys, orders, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of digits with both halves of a key, and a multiple of a row, and permute both sums."""
    k, n = word()
    half, modulus = uint64(memory.shape[1] // HALVES), modulus_of(constants, table[n, 4])
    added, order = table[n, 5], table[n, 7]
    x, y = k, k + half
    if order != NOTHING:
        x, y = uint64(orders[order, k]), uint64(orders[order, k + half])
    sums = cuda.local.array((BOTH, 3), uint64)
    clear(sums)
    if added != NOTHING:
        w = limbs(table[n, 6])
        add(sums, 0, limbs(word_of(memory, added, x)), w)
        add(sums, 1, limbs(word_of(memory, added, y)), w)
    i, stop = table[n, FIRST], table[n, STOP]
    while i < stop:  # digits: they are few
        row, one = pair_at(terms, i * uint64(2))
        other = pair_at(terms, i * uint64(2) + uint64(1))[0]
        for h in range(HALVES):
            at = x if h == 0 else y
            digit = limbs(word_of(memory, row, at))
            add(sums, h, digit, limbs(word_of(keys, one, at)))
            add(sums, HALVES + h, digit, limbs(word_of(keys, other, at)))
        i += uint64(1)
    carry(sums)
    for s in range(2):
        for h in range(HALVES):
            memory[table[n, 2 + s], k + uint64(h) * half] = total(sums, HALVES * s + h, modulus)


def extend_kernel(memory, table, terms, shares, constants):  # type: ignore[no-untyped-def]
    """Take coefficients from several primes, which are few, to one more, see `he.kernels.passes.extension`.

    Fractions in floating point decide which multiple of a modulus is subtracted: they are added in the order of the
    CPU's kernels, and rounded as often.
    """
    k, n = word()
    share, sums, modulus = 0.5, cuda.local.array((1, 3), uint64), modulus_of(constants, table[n, 3])
    clear(sums)
    i, stop = table[n, FIRST], table[n, STOP]
    while i < stop:
        factor, row = pair_at(terms, i)
        value = word_of(memory, row, k)
        share = add_share(share, value, shares[i])
        add(sums, 0, limbs(value), given_limbs(factor))
        i += uint64(1)
    add(sums, 0, limbs(uint64(share)), limbs(table[n, 4]))
    carry(sums)
    memory[table[n, 2], k] = total(sums, 0, modulus)


@cuda.jit(device=True, inline="always")
def _raised(y, constants, prime):  # type: ignore[no-untyped-def]
    """Multiply a residue with 2**52, and split it into limbs."""
    p, r, r_quotient = constants[prime, MODULUS], constants[prime, RADIX], constants[prime, RADIX_QUOTIENT]
    return limbs(below(times(y, r, r_quotient, p), p))


def tensor_sums_kernel(memory, table, terms, constants):  # type: ignore[no-untyped-def]
    """Add products of x0 + x1 s with factors f0 + f1 s, which are held times 2**52."""
    k, n = word()
    sums, modulus = cuda.local.array((3, 3), uint64), modulus_of(constants, table[n, 5])
    clear(sums)
    first, stop = table[n, FIRST], table[n, STOP]
    i = first
    while i < stop:
        row0, row1 = pair_at(terms, i * uint64(2))
        factor0, factor1 = pair_at(terms, i * uint64(2) + uint64(1))
        x0, x1 = limbs(word_of(memory, row0, k)), limbs(word_of(memory, row1, k))
        f0, f1 = limbs(word_of(memory, factor0, k)), limbs(word_of(memory, factor1, k))
        add(sums, 0, x0, f0)
        add(sums, 1, x0, f1)
        add(sums, 1, x1, f0)
        add(sums, 2, x1, f1)
        i += uint64(1)
        if (i - first) % uint64(CHUNK) == uint64(0):
            carry(sums)
    carry(sums)
    for c in range(3):
        memory[table[n, 2 + c], k] = total(sums, c, modulus)


def tensor_kernel(memory, table, constants):  # type: ignore[no-untyped-def]
    """Multiply x0 + x1 s with y0 + y1 s: rows x0, x1, y0, y1, three to be written, and the prime."""
    k, n = word()
    prime, sums = table[n, 7], cuda.local.array((3, 3), uint64)
    modulus = modulus_of(constants, prime)
    x0, x1 = limbs(word_of(memory, table[n, 0], k)), limbs(word_of(memory, table[n, 1], k))
    f0 = _raised(word_of(memory, table[n, 2], k), constants, prime)
    f1 = _raised(word_of(memory, table[n, 3], k), constants, prime)
    clear(sums)
    add(sums, 0, x0, f0)
    add(sums, 1, x0, f1)
    add(sums, 1, x1, f0)
    add(sums, 2, x1, f1)
    carry(sums)
    for c in range(3):
        memory[table[n, 4 + c], k] = total(sums, c, modulus)


def square_parts_kernel(memory, table, scales, constants):  # type: ignore[no-untyped-def]
    """Compute (x + y)**2 + w (x - y)**2, see `he.kernels.passes.evaluate.square_parts`.

    After the columns of `tensor_kernel` come the scales of 2**52 w in the first and in the second half.
    """
    k, n = word()
    prime, sums = table[n, 7], cuda.local.array((3, 3), uint64)
    modulus = modulus_of(constants, prime)
    p = modulus[0]
    x0, x1 = word_of(memory, table[n, 0], k), word_of(memory, table[n, 1], k)
    y0, y1 = word_of(memory, table[n, 2], k), word_of(memory, table[n, 3], k)
    a0, a1, b0, b1 = below(x0 + y0, p), below(x1 + y1, p), below(x0 + (p - y0), p), below(x1 + (p - y1), p)
    f0, f1 = _raised(a0, constants, prime), _raised(a1, constants, prime)
    w, quotient = pair_at(scales, table[n, uint64(8) + uint64(k >= uint64(memory.shape[1] // HALVES))])
    g0, g1 = limbs(below(times(b0, w, quotient, p), p)), limbs(below(times(b1, w, quotient, p), p))
    a0, a1, b0, b1 = limbs(a0), limbs(a1), limbs(b0), limbs(b1)
    clear(sums)
    add(sums, 0, a0, f0)
    add(sums, 0, b0, g0)
    add(sums, 1, a0, f1)
    add(sums, 1, b0, g1)
    add(sums, 2, a1, f1)
    add(sums, 2, b1, g1)
    carry(sums)
    middle = total(sums, 1, modulus)  # of which there are two
    first, last = total(sums, 0, modulus), total(sums, 2, modulus)
    memory[table[n, 4], k], memory[table[n, 5], k], memory[table[n, 6], k] = first, below(middle + middle, p), last


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
        terms: `weighted`, of int64 [terms, 1 + tile]: a row, and what it is multiplied with in every sum.
    """
    kernel = combination((table.shape[1] - 3) // 3)
    return [_of_sums(kernel, tables, table, memory, factors, table, terms, tables.constants)]


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
        terms: `named`, of int64 [terms, 3]: a row of either sum, and a row of factors.
    """
    return [_of_sums(products_kernel, tables, table, memory, factors, table, terms, tables.constants)]


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
        terms: `named`, of int64 [terms, 3]: a digit, and the rows of the key's halves.
    """
    return [_of_sums(switch_kernel, tables, table, memory, keys, orders, table, terms, tables.constants)]


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
        terms: `weighted`, of int64 [terms, 2]: a row of coefficients times their hats, and Q / q_i times 2**52.
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
        terms: `named`, of int64 [terms, 4]: both rows of a ciphertext, and of one that is held times 2**52.
    """
    return [_each(tensor_sums_kernel, tables, table, memory, table, terms, tables.constants)]


def square_parts(tables: DeviceTables, memory: DeviceArray, table: DeviceArray, scales: DeviceArray) -> list[Launch]:
    """Square both parts of ciphertexts; the table is `square_parts_kernel`'s, and the scales are transforms'."""
    return [_each(square_parts_kernel, tables, table, memory, table, scales, tables.constants)]


def _each(kernel: Any, tables: DeviceTables, table: DeviceArray, *arguments: Any) -> Launch:
    """Return what starts a kernel with one thread for every word of every line."""
    threads = min(THREADS, tables.N)
    return bound(kernel, (tables.N // threads, len(table)), threads, *arguments)


def _of_sums(kernel: Any, tables: DeviceTables, table: DeviceArray, *arguments: Any) -> Launch:
    """Return what starts a kernel with one thread for two words; blocks are small, for threads take many registers."""
    words = tables.N // HALVES
    threads = min(THREADS // 2, words)
    return bound(kernel, (words // threads, len(table)), threads, *arguments)
