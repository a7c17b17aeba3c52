"""Operations on residues in transformed form, uint64 [rows, N]: row j belongs to a prime of the chain.

Residues are below their primes, before and after.
"""

import numpy as np

from he.kernels.instructions import dots, lanes
from he.kernels.passes import transform
from he.kernels.tables.chain import Tables
from he.kernels.tables.factors import word_bytes
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

scale, scale_difference, add = emitted(lanes.scale), emitted(lanes.scale_difference), emitted(lanes.add)
combine, add_all = emitted(dots.combine), emitted(dots.add_all)
MAX_ADDED = dots.MAX_ADDED
add_products, finish_products = emitted(dots.add_products), emitted(dots.finish_products)
tensor, matrix_tile = emitted(lanes.tensor), emitted(dots.matrix_tile)
add_multiple = emitted(lanes.add_multiple)
MAX_TERMS = 28  # products that are added before they are reduced
TILE = 4096  # bytes of a row whose sums of products stay in the first cache
FEW = 4  # products that are added to them at once: no more rows than the processor fetches ahead
PANEL = 512  # bytes of every ciphertext that one pass of a matrix product reads: of hundreds, they fit the second cache
forward_one, inverse_one = transform.forward, transform.inverse


@compiled
def forward(tables: Tables, row: Array, prime: int) -> None:
    """Transform one row in place."""
    forward_one(row, tables.forward[prime], tables.forward_quotients[prime], tables.constants[prime].modulus)


@compiled
def inverse(tables: Tables, row: Array, prime: int) -> None:
    """Transform one row back in place."""
    c = tables.constants[prime]
    powers, quotients = tables.inverse[prime], tables.inverse_quotients[prime]
    inverse_one(row, powers, quotients, c.modulus, c.degree, c.degree_quotient, 0, row)


@compiled
def add_rows(tables: Tables, x: Array, y: Array, last: int, out: Array) -> None:
    """Add two arrays [components, rows, N] to a third; ``last`` is the index of the last row's prime."""
    rows = x.shape[1]
    for c in range(x.shape[0]):
        for j in range(rows):
            p = tables.constants[j if j < rows - 1 else last].modulus
            for k in range(0, 8 * x.shape[2], 64):
                add((x[c, j].ctypes.data + k, y[c, j].ctypes.data + k, out[c, j].ctypes.data + k, p))


@compiled
def sum_rows(tables: Tables, arrays: IntArray, primes: IntArray, out: Array) -> None:
    """Add at most `MAX_ADDED` arrays [components, rows, N], at addresses; row j belongs to prime ``primes[j]``."""
    components, rows, N = out.shape
    x, count = arrays.ctypes.data, len(arrays)
    for c in range(components):
        for j in range(rows):
            p = tables.constants[primes[j]].modulus
            offset, target = 8 * N * (c * rows + j), out[c, j].ctypes.data
            for k in range(0, 8 * N, 64):
                add_all((x, offset + k, count, target + k, p))


@compiled
def add_extended(tables: Tables, x: Array, special: Array, out: Array) -> None:
    """Add x, times the special primes, to the first rows of ``out``: [components, level, N] to [components, rows, N].

    Their product is given modulo every prime, `FACTOR` [at least level]. Modulo themselves there is nothing to add.
    """
    for c in range(x.shape[0]):
        for j in range(x.shape[1]):
            p, w, w_quotient = tables.constants[j].modulus, special[j].value, special[j].quotient
            source, target = x[c, j].ctypes.data, out[c, j].ctypes.data
            for k in range(0, 8 * x.shape[2], 64):
                add_multiple((source + k, target + k, w, w_quotient, p))


@compiled
def plain_products(tables: Tables, ciphertexts: IntArray, plaintexts: IntArray, primes: IntArray, out: Array) -> None:
    """Multiply ciphertexts with plaintexts and add the products.

    Args:
        tables: The chain's.
        ciphertexts: The addresses of uint64 [components, rows, N].
        plaintexts: The addresses of `Factors`, int64 [terms, at least rows].
        primes: The index of every row's prime, int64 [rows].
        out: uint64 [components, rows, N], written.
    """
    components, rows, N = out.shape
    lists, spare = np.empty((3, MAX_TERMS), np.int64), np.empty(N if components % 2 else 0, np.uint64)
    sums = np.empty(TILE // 2, np.uint64)  # four words for every one of a row
    for first in range(0, len(ciphertexts), MAX_TERMS):
        count = min(MAX_TERMS, len(ciphertexts) - first)
        for j in range(rows):
            for c in range(0, components, 2):  # two at once: what they are multiplied with is read once
                other = min(c + 1, components - 1)
                for i in range(count):
                    lists[0, i] = plaintexts[first + i, j]
                    lists[1, i] = ciphertexts[first + i] + 8 * N * (c * rows + j)
                    lists[2, i] = ciphertexts[first + i] + 8 * N * (other * rows + j)
                second = out[other, j] if other > c else spare
                row_products(tables, lists[:, :count], primes[j], first == 0, sums, out[c, j], second)


@compiled
def row_products(
    tables: Tables, lists: IntArray, prime: int, start: bool, sums: Array, out_0: Array, out_1: Array
) -> None:
    """Add sums of products modulo one prime to two rows, which are 0 at the start.

    Args:
        tables: The chain's.
        lists: The addresses [3, terms] of what both rows are multiplied with, and of the terms of either row.
        prime: The index of the prime.
        start: Whether the rows hold nothing yet.
        sums: Memory to work on, uint64 [TILE / 2].
        out_0: The first row, uint64 [N].
        out_1: The second row, uint64 [N].
    """
    count, end = lists.shape[1], 8 * out_0.size
    p, montgomery = tables.constants[prime].modulus, tables.constants[prime].montgomery
    x, y, z, width = lists[0].ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data, word_bytes(p)
    held, first, second = sums.ctypes.data, out_0.ctypes.data, out_1.ctypes.data
    for tile in range(0, end, TILE):
        size = min(TILE, end - tile)
        for i in range(0, 8 * count, 8 * FEW):
            few = min(FEW, count - i // 8)
            for k in range(0, size, 64):
                add_products((x + i, y + i, z + i, tile + k, width, few, held + 4 * k, i == 0))
        for k in range(0, size, 64):
            finish_products((held + 4 * k, first + tile + k, second + tile + k, start, p, montgomery))


@compiled
def scalar_products(tables: Tables, ciphertexts: IntArray, scalars: Array, out: Array) -> None:
    """Multiply ciphertexts with numbers and add the products; ``scalars`` are `FACTOR` [level, terms]."""
    components, level, N = out.shape
    for c in range(components):
        for j in range(level):
            w = scalars[j].ctypes.data
            for k in range(0, 8 * N, 64):
                combine((
                    ciphertexts.ctypes.data, 8 * N * (c * level + j) + k, w, w + 8, 16, len(ciphertexts),
                    out[c, j].ctypes.data + k, tables.constants[j].modulus,
                ))  # fmt: skip


@compiled
def matrix_products(
    tables: Tables, ciphertexts: IntArray, weights: Array, component: int, prime: int, out: Array
) -> None:
    """Compute several sums of multiples of the same ciphertexts: one component, modulo one prime.

    Args:
        tables: The chain's.
        ciphertexts: The addresses of uint64 [components, level, N].
        weights: The numbers times 2**52, uint64 [primes, rows / 4, terms, 4].
        component: The index of the component.
        prime: The index of the prime.
        out: uint64 [rows, components, level, N]; its rows of that component and prime are written.
    """
    level, N, row = out.shape[2], out.shape[3], out.strides[0]
    blocks, terms = weights.shape[1], weights.shape[2]
    shift = 8 * N * (component * level + prime)
    p, montgomery = tables.constants[prime].modulus, tables.constants[prime].montgomery
    out[:, component, prime] = 0
    for panel in range(0, 8 * N, PANEL):
        for block in range(blocks):
            target = out[4 * block, component, prime].ctypes.data
            for first in range(0, terms, MAX_TERMS):
                x, w = ciphertexts[first:].ctypes.data, weights[prime, block, first].ctypes.data
                count = min(MAX_TERMS, terms - first)
                for k in range(panel, min(panel + PANEL, 8 * N), 128):
                    matrix_tile((x, shift + k, w, count, target + k, row, p, montgomery))


@compiled
def square_parts(tables: Tables, x: Array, y: Array, imaginary: Array, prime: int, out: Array) -> None:
    """Compute (x + y)**2 - i (x - y)**2 of two ciphertexts uint64 [2, level, N], modulo one prime.

    Args:
        tables: The chain's.
        x: The ciphertext.
        y: The conjugate of x.
        imaginary: `FACTOR` [level, 2]: minus i, that is -X**(N / 2), in both halves of a transformed row.
        prime: The index of the prime.
        out: uint64 [3, level, N]; its rows of that prime are written.
    """
    scratch = np.empty((5, 8), np.uint64)  # a sum or a difference of two components; a square of three
    for half in range(2):
        square_half(tables, x[:, prime], y[:, prime], imaginary[prime], prime, half, scratch, out[:, prime])


@compiled
def square_half(
    tables: Tables, x: Array, y: Array, imaginary: Array, prime: int, half: int, scratch: Array, out: Array
) -> None:
    """Do what `square_parts` says for the first or the second half of rows [components, N]."""
    N = x.shape[1]
    constants = tables.constants[prime]
    p, montgomery, one = constants.modulus, constants.montgomery, constants.one
    radix, radix_quotient = constants.radix, constants.radix_quotient
    sums, squares = scratch.ctypes.data, scratch[2].ctypes.data
    w, w_quotient, component = imaginary[half].value, imaginary[half].quotient, out.strides[0]
    for k in range(4 * N * half, 4 * N * (half + 1), 64):
        for c in range(2):
            add((x[c].ctypes.data + k, y[c].ctypes.data + k, sums + 64 * c, p))
        target = out[0].ctypes.data + k
        tensor((sums, sums, 64, target, component, p, montgomery, radix, radix_quotient))
        for c in range(2):
            scale_difference((x[c].ctypes.data + k, y[c].ctypes.data + k, sums + 64 * c, 1, one, p))
        tensor((sums, sums, 64, squares, 64, p, montgomery, radix, radix_quotient))
        for c in range(3):
            scale((squares + 64 * c, squares + 64 * c, w, w_quotient, p))
            add((target + component * c, squares + 64 * c, target + component * c, p))


@compiled
def multiply(tables: Tables, x: Array, y: Array, first: int, out: Array) -> None:
    """Multiply two ciphertexts uint64 [2, rows, N] to [3, rows, N]; row j belongs to prime first + j."""
    rows, N = x.shape[1], x.shape[2]
    component = x.strides[0]
    for j in range(rows):
        c = tables.constants[first + j]
        for k in range(0, 8 * N, 64):
            tensor((
                x[0, j].ctypes.data + k, y[0, j].ctypes.data + k, component, out[0, j].ctypes.data + k, out.strides[0],
                c.modulus, c.montgomery, c.radix, c.radix_quotient,
            ))  # fmt: skip


@compiled
def scale_row(tables: Tables, x: Array, prime: int, w: int, quotient: int, out: Array) -> None:
    """Multiply one row by a constant."""
    source, target, p = x.ctypes.data, out.ctypes.data, tables.constants[prime].modulus
    for k in range(0, 8 * x.size, 64):
        scale((source + k, target + k, w, quotient, p))


@compiled
def add_constants(tables: Tables, x: Array, constants: Array) -> None:
    """Add numbers [level, 2] to the entries of both halves of the rows of [level, N], in place.

    Equal ones are a constant polynomial; a multiple of X**(N / 2) adds to the first half what it takes from the second.
    """
    for j in range(len(x)):
        p, row = np.uint64(tables.constants[j].modulus), x[j]
        for k in range(row.size):
            value = row[k] + constants[j, 2 * k // row.size]
            row[k] = min(value, value - p)
