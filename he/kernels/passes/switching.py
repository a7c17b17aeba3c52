"""Key switching: digits of a polynomial, their products with a key, rotations, and mod-down by the special prime.

Row j of a polynomial belongs to the prime of that index. A polynomial that is *extended* has one row more, which
belongs to the special prime. Many rows are done from a ``first`` one up to a ``stop``, so that threads can share them.
"""

from functools import partial

import numpy as np

from he.kernels.instructions import dots, lanes
from he.kernels.instructions.butterflies import LARGEST
from he.kernels.passes import transform
from he.kernels.tables.chain import Tables
from he.kernels.tables.factors import word_bytes
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

dot_pair, permuted_dot_pair = emitted(dots.dot_pair), emitted(dots.permuted_dot_pair)
difference, loose_difference = (emitted(partial(lanes.scale_difference, loose=loose)) for loose in (1, LARGEST))
inverse, lift_forward, LOOSE = transform.inverse, transform.lift_forward, transform.LOOSE
Permutation = tuple[IntArray, Array]
MAX_LOOSE = 12  # products with loose residues, for their sum to be as small as `dot_pair` wants it


@compiled
def to_centred(tables: Tables, x: Array, out: Array, first: int, stop: int) -> None:
    """The coefficients of rows [level, N], centred and then shifted by half of their primes: what `mod_up` takes."""
    for i in range(first, stop):
        row_to_centred(tables, x[i], i, out[i])


@compiled
def row_to_centred(tables: Tables, x: Array, prime: int, out: Array) -> None:
    """`to_centred` for one row."""
    c = tables.constants[prime]
    powers, quotients = tables.inverse[prime], tables.inverse_quotients[prime]
    inverse(x, powers, quotients, c.modulus, c.degree, c.degree_quotient, c.modulus // 2, out)


@compiled
def mod_up(tables: Tables, x: Array, source: int, target: int, out: Array, finished: bool) -> None:
    """A row of `to_centred` from one prime to another: centred residues, transformed; see `lift_forward`."""
    c = tables.constants[target]
    shift = c.modulus - tables.pairs[source, target].half
    powers, quotients = tables.forward[target], tables.forward_quotients[target]
    lift_forward(x, c.one, shift, powers, quotients, c.modulus, out, finished)


@compiled
def decompose(
    tables: Tables, x: Array, centred: Array, special: int, finished: bool, out: Array, first: int, stop: int
) -> None:
    """The digits of a polynomial: its centred residues, each lifted to every prime and transformed.

    Args:
        tables: The chain's.
        x: uint64 [level, N].
        centred: The same, of `to_centred`.
        special: Index of the special prime.
        finished: See `lift_forward`; digits that are not may be at most `MAX_LOOSE`.
        out: uint64 [level + 1, level, N], by prime, then by digit; the first axis is written in part.
        first: Of that axis.
        stop: Of that axis.
    """
    for j in range(first, stop):
        digits_modulo(tables, x, centred, j if j < len(x) else special, out[j], finished)


@compiled
def digits_modulo(tables: Tables, x: Array, centred: Array, prime: int, out: Array, finished: bool) -> None:
    """All digits modulo one prime: [level, N]."""
    for i in range(len(x)):
        if i == prime:
            for k in range(x.shape[1]):
                out[i, k] = x[i, k]
        else:
            mod_up(tables, centred[i], i, prime, out[i], finished)


@compiled
def switch(
    tables: Tables, x: Array, centred: Array, key: IntArray, special: int, out: Array, first: int, stop: int
) -> None:
    """A polynomial's digits times a key: an extended ciphertext.

    Args:
        tables: The chain's.
        x: As for `decompose`.
        centred: As for `decompose`.
        key: int64 [at least level, 2, primes], of `Factors`.
        special: Index of the special prime.
        out: uint64 [2, level + 1, N]; rows are written.
        first: Of the rows.
        stop: Of the rows.
    """
    digits, lists = np.empty_like(x), np.empty((3, len(x)), np.int64)
    for j in range(first, stop):
        prime = j if j < len(x) else special
        digits_modulo(tables, x, centred, prime, digits, len(x) > MAX_LOOSE)
        list_addresses(digits, key, prime, lists)
        key_products(tables, lists, prime, out[0, j], out[1, j])


@compiled
def key_products(tables: Tables, lists: IntArray, prime: int, out_0: Array, out_1: Array) -> None:
    """The inner products of digits with both halves of a key, modulo one prime; see `list_addresses`."""
    level, N, c = lists.shape[1], out_0.size, tables.constants[prime]
    x, y, z = lists[0].ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data
    first, second, p, montgomery = out_0.ctypes.data, out_1.ctypes.data, c.modulus, c.montgomery
    width = word_bytes(p)
    for k in range(0, 8 * N, 128):
        dot_pair((x, y, z, k, width, level, first + k, second + k, p, montgomery))


@compiled
def list_addresses(digits: Array, key: IntArray, prime: int, lists: IntArray) -> None:
    """Where digits [level, N] lie, and the halves of a key: to int64 [3, level]."""
    for i in range(len(digits)):
        lists[0, i], lists[1, i], lists[2, i] = digits[i].ctypes.data, key[i, 0, prime], key[i, 1, prime]


@compiled
def rotate(
    tables: Tables,
    x: Array,
    centred: Array,
    key: IntArray,
    special: int,
    permutation: Permutation,
    out: Array,
    first: int,
    stop: int,
) -> None:
    """An extended ciphertext, rotated: `switch`, plus its other polynomial times the special prime, permuted.

    Args:
        tables: The chain's.
        x: uint64 [2, level, N].
        centred: That of its second polynomial, as for `switch`.
        key: As for `switch`, permuted back.
        special: Index of the special prime.
        permutation: See `he.ring.slots.permutation`.
        out: As for `switch`.
        first: Of the rows.
        stop: Of the rows.
    """
    level = x.shape[1]
    digits, lists = np.empty_like(centred), np.empty((3, level), np.int64)
    for j in range(first, stop):
        prime = j if j < level else special
        digits_modulo(tables, x[1], centred, prime, digits, level > MAX_LOOSE)
        list_addresses(digits, key, prime, lists)
        permuted_products(tables, x[0], lists, prime, special, permutation, out[0, j], out[1, j])


@compiled
def rotate_digits(
    tables: Tables, x: Array, digits: Array, key: IntArray, special: int, permutation: Permutation, out: Array
) -> None:
    """`rotate` with the digits of `decompose`, all rows."""
    level, lists = x.shape[1], np.empty((3, x.shape[1]), np.int64)
    for j in range(level + 1):
        prime = j if j < level else special
        list_addresses(digits[j], key, prime, lists)
        permuted_products(tables, x[0], lists, prime, special, permutation, out[0, j], out[1, j])


@compiled
def permuted_products(
    tables: Tables,
    added: Array,
    lists: IntArray,
    prime: int,
    special: int,
    permutation: Permutation,
    out_0: Array,
    out_1: Array,
) -> None:
    """`rotate` modulo one prime, from its digits; see `list_addresses`."""
    level, N = lists.shape[1], out_0.size
    places, orders = permutation
    x, y, z = lists[0].ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data
    addend, to, by = added[prime if prime < level else 0].ctypes.data, places.ctypes.data, orders.ctypes.data
    w, c = tables.pairs[special, prime].residue, tables.constants[prime]  # w is 0 for the special prime itself
    r, r_quotient, p, montgomery = c.radix, c.radix_quotient, c.modulus, c.montgomery
    first, second = out_0.ctypes.data, out_1.ctypes.data
    width = word_bytes(p)
    for k in range(0, 8 * N, 128):
        permuted_dot_pair((x, y, z, k, width, level, addend, w, r, r_quotient, to, by, first, second, p, montgomery))


@compiled
def mod_down(tables: Tables, x: Array, divisor: int, out: Array, first: int, stop: int) -> None:
    """Divide by the prime of the last row, and round.

    Args:
        tables: The chain's.
        x: uint64 [polynomials, level + 1, N]; row j < level belongs to prime j, the last one to ``divisor``.
        divisor: Index of a prime.
        out: uint64 [polynomials, level, N]; polynomials are written.
        first: Of the polynomials.
        stop: Of the polynomials.
    """
    level, N = out.shape[1], out.shape[2]
    last, rest = np.empty(N, np.uint64), np.empty(N, np.uint64)
    for c in range(first, stop):
        row_to_centred(tables, x[c, level], divisor, last)
        for j in range(level):
            mod_up(tables, last, divisor, j, rest, False)
            mod_down_row(tables, x[c, j], rest, divisor, j, out[c, j])


@compiled
def mod_down_row(tables: Tables, x: Array, rest: Array, divisor: int, prime: int, out: Array) -> None:
    """The exact quotient (x - rest) / divisor, modulo one prime."""
    pair, p = tables.pairs[divisor, prime], tables.constants[prime].modulus
    w, quotient = pair.inverse, pair.inverse_quotient
    source, here, target = x.ctypes.data, rest.ctypes.data, out.ctypes.data
    if p < LOOSE:
        for k in range(0, 8 * x.size, 64):
            loose_difference((source + k, here + k, target + k, w, quotient, p))
    else:
        for k in range(0, 8 * x.size, 64):
            difference((source + k, here + k, target + k, w, quotient, p))
