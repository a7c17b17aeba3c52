"""Matrix products of ciphertexts: sums of products, of degree two; who wants two polynomials relinearises the sums.

Of a matrix, ciphertexts on the left are many and read from memory, so they are packed (`Factors`), and every word that
is read serves all columns. Those on the right are few: pieces of them are copied side by side, and read again for every
row. A single sum reads nothing twice, and so a few rows at a time, as far as the processor fetches ahead.
"""

from functools import partial

import numpy as np

from he.kernels.instructions import tensors
from he.kernels.instructions.tensors import COLUMNS
from he.kernels.passes import switching
from he.kernels.passes.evaluate import add_rows
from he.kernels.passes.product import Scaling, scaled
from he.kernels.tables.chain import Tables
from he.kernels.tables.factors import word_bytes
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

one_sum, two_sums, three_sums = (emitted(partial(tensors.tensor_sums, columns=n + 1)) for n in range(COLUMNS))
evaluations = emitted(tensors.evaluations)
add_tensors, finish_tensors = emitted(tensors.add_tensors), emitted(tensors.finish_tensors)
PANEL = 512  # bytes of a row that are done for all ciphertexts before the next ones
TILE = 4096  # bytes of a row for which what a single sum has so far stays in the first cache
FEW = 2  # terms, of four rows each, that are added to it at once: no more rows than the processor fetches ahead
AT_ONCE = 64  # terms: with a few columns, a panel of the right ciphertexts fits the second cache


def panel_shape(columns: int) -> tuple[int, ...]:
    """The shape of the memory that `tensor_products` works on."""
    return PANEL // 64, AT_ONCE, columns, 3, 8


def tile(terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the memory that `tensor_sum` works on, for a sum of so many terms: addresses, and a tile of the sum."""
    return np.empty((4, terms), np.int64), np.empty(6 * TILE // 8, np.uint64)


@compiled
def terms_at_once(p: int) -> int:
    """Count the products whose sum is reduced at once: 28 for a prime of 50 bits, more for shorter ones.

    Divided by 2**52, the products below p**2 must stay below 7 p.
    """
    return min(AT_ONCE, (7 << 52) // p)


@compiled
def tensor_products(
    tables: Tables, left: IntArray, right: IntArray, row: int, prime: int, panel: Array, out: Array
) -> None:
    """Multiply matrices of ciphertexts modulo one prime: the sums over j of (c0 + c1 s)(d0 + d1 s) for c_ij and d_jk.

    Args:
        tables: The chain's.
        left: The addresses of `Factors`, int64 [rows, terms, 2, primes]: both polynomials of every c_ij.
        right: The addresses of uint64 [2, level, N], int64 [terms, columns]: every d_jk.
        row: The index of the prime among those of the ciphertexts.
        prime: Its index in the chain.
        panel: Memory to work on, uint64 of `panel_shape`.
        out: uint64 [rows, columns, 3, level, N], the coefficients of 1, s and s**2; the rows of that prime are written.
    """
    end, component, ahead = 8 * out.shape[4], out.strides[2], left.strides[0]
    p = tables.constants[prime].modulus
    most = terms_at_once(p)
    for place in range(0, end, PANEL):
        size = min(PANEL, end - place)
        for first in range(0, left.shape[1], most):
            copy_panel(right[first : first + most], end * row + place, component, size, p, panel)
            for i in range(left.shape[0]):
                terms, following = left[i, first : first + most, :, row], ahead if i + 1 < left.shape[0] else 0
                sum_panel(tables, terms, following, panel, prime, first == 0, place, size, out[i, :, :, row])


@compiled
def copy_panel(right: IntArray, shift: int, component: int, size: int, p: int, panel: Array) -> None:
    """Copy pieces of ciphertexts side by side: in rows a power of two apart they drive each other from the caches."""
    for j in range(right.shape[0]):
        for k in range(right.shape[1]):
            source, target = right[j, k] + shift, panel[0, j, k].ctypes.data
            for v in range(size // 64):
                evaluations((source + 64 * v, component, target + v * panel.strides[0], p))


@compiled
def sum_panel(
    tables: Tables,
    left: IntArray,
    ahead: int,
    panel: Array,
    prime: int,
    start: bool,
    place: int,
    size: int,
    out: Array,
) -> None:
    """Add to pieces of one row of the result [columns, 3, N], which count as 0 at the start.

    Args:
        tables: The chain's.
        left: The addresses of rows, int64 [terms, 2].
        ahead: The bytes from these addresses to those of the rows that are needed next.
        panel: What `copy_panel` made.
        prime: The index of the prime.
        start: Whether the rows hold nothing yet.
        place: The bytes from a row's beginning to the piece.
        size: The bytes of the piece.
        out: uint64 [columns, 3, N].
    """
    p, montgomery = tables.constants[prime].modulus, tables.constants[prime].montgomery
    width, x, columns = word_bytes(p), left.ctypes.data, out.shape[0]
    for v in range(size // 64):
        for k in range(0, columns, COLUMNS):
            numbers = (
                x, left.strides[1], left.strides[0], ahead if k == 0 else 0, width, place + 64 * v,
                panel[v, 0, k].ctypes.data, panel.strides[1], left.shape[0], out[k].ctypes.data + place + 64 * v,
                out.strides[0], out.strides[1], start, p, montgomery,
            )  # fmt: skip
            if columns - k == 1:
                one_sum(numbers)
            elif columns - k == 2:
                two_sums(numbers)
            else:
                three_sums(numbers)


@compiled
def tensor_sum(
    tables: Tables, left: IntArray, right: IntArray, row: int, prime: int, lists: IntArray, sums: Array, out: Array
) -> None:
    """Add products of ciphertexts modulo one prime: the sum over j of (c0 + c1 s)(d0 + d1 s) for c_j and d_j.

    It is `tensor_products` with one row and one column, of which nothing is read twice.

    Args:
        tables: The chain's.
        left: The addresses of `Factors`, int64 [terms, 2, primes]: both polynomials of every c_j.
        right: The addresses of uint64 [2, level, N], int64 [terms]: every d_j.
        row: The index of the prime among those of the ciphertexts.
        prime: Its index in the chain.
        lists: What `tile` returned, as the next one; no other call may use them meanwhile.
        sums: See `lists`.
        out: uint64 [3, level, N], the coefficients of 1, s and s**2; the rows of that prime are written.
    """
    end, component = 8 * out.shape[2], out.strides[0]
    p, montgomery = tables.constants[prime].modulus, tables.constants[prime].montgomery
    width, most = word_bytes(p), terms_at_once(p) // 2  # the middle sum has two products of each term
    for j in range(len(left)):
        lists[0, j], lists[1, j] = left[j, 0, row], left[j, 1, row]
        lists[2, j] = right[j] + end * row
        lists[3, j] = lists[2, j] + component
    c0, held, target = lists.ctypes.data, sums.ctypes.data, out[0, row].ctypes.data
    c1, d0, d1 = c0 + lists.strides[0], c0 + 2 * lists.strides[0], c0 + 3 * lists.strides[0]
    for tile in range(0, end, TILE):
        size = min(TILE, end - tile)
        for first in range(0, len(left), most):
            last = min(first + most, len(left))
            for j in range(first, last, FEW):
                few, at = min(FEW, last - j), 8 * j
                for k in range(0, size, 64):
                    rows = c0 + at, c1 + at, d0 + at, d1 + at
                    add_tensors((*rows, tile + k, width, few, held + 6 * k, j == first))
            for k in range(0, size, 64):
                finish_tensors((held + 6 * k, target + tile + k, component, first == 0, p, montgomery))


@compiled
def relinearise(tables: Tables, x: Array, key: IntArray, special: int, out: Array) -> None:
    """Take a sum of products to two polynomials.

    Args:
        tables: The chain's.
        x: uint64 [3, at least level, N], transformed.
        key: The relinearisation key, as `switching.switch` takes it.
        special: The index of the special prime.
        out: uint64 [2, level, N], written.
    """
    level, N = out.shape[1], out.shape[2]
    centred, sums = np.empty((level, N), np.uint64), np.empty((2, level + 1, N), np.uint64)
    switching.to_centred(tables, x[2, :level], centred, 0, level)
    switching.switch(tables, x[2, :level], centred, key, special, sums, 0, level + 1)
    switching.mod_down(tables, sums, special, out, 0, 2)
    add_rows(tables, out, x, level - 1, out)


@compiled
def relinearise_and_rescale(tables: Tables, x: Array, key: IntArray, special: int, out: Array) -> None:
    """Do the same, and divide by the last prime: uint64 [3, level, N] to [2, level - 1, N]."""
    whole = np.empty_like(x[:2])
    relinearise(tables, x, key, special, whole)
    switching.mod_down(tables, whole, whole.shape[1] - 1, out, 0, 2)


@compiled
def scale_and_relinearise(
    tables: Tables, scaling: Scaling, x: Array, key: IntArray, special: int, auxiliary: int, out: Array
) -> None:
    """Multiply a sum of BFV products by t / q, round it, and take it to two polynomials.

    Args:
        tables: The chain's.
        scaling: The constants of the level.
        x: uint64 [3, level + auxiliary primes, N], overwritten.
        key: The relinearisation key, as `switching.switch` takes it.
        special: The index of the special prime.
        auxiliary: The index of the first auxiliary prime.
        out: uint64 [2, level, N], written.
    """
    level = out.shape[1]
    for c in range(3):
        scaled(tables, scaling, x[c, :level], x[c, level:], auxiliary)
    relinearise(tables, x, key, special, out)
