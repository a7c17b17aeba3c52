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
from intnn.machine import simd
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import LINE
from intnn.values.arrays import Array, IntArray

dot_pair, permuted_dot_pair, fence = emitted(dots.dot_pair), emitted(dots.permuted_dot_pair), emitted(simd.fence)
difference, loose_difference = (emitted(partial(lanes.scale_difference, loose=loose)) for loose in (1, LARGEST))
inverse, lift_forward, LOOSE = transform.inverse, transform.lift_forward, transform.LOOSE
Permutation = tuple[IntArray, Array]
MAX_LOOSE = 12  # products with loose residues, for their sum to be as small as `dot_pair` wants it
KEPT = 1 << 21  # bytes of a rotation that the second cache may still hold when they are read; larger ones leave it
FOLLOWED = 4  # digits whose rows, and those of a key, processors fetch in time while stores go past the caches


@compiled
def to_centred(tables: Tables, x: Array, out: Array, first: int, stop: int) -> None:
    """Transform rows [level, N] back and add half of their primes to the centred coefficients: `mod_up` takes these."""
    for i in range(first, stop):
        row_to_centred(tables, x[i], i, out[i])


@compiled
def row_to_centred(tables: Tables, x: Array, prime: int, out: Array) -> None:
    """Do what `to_centred` says for one row."""
    c = tables.constants[prime]
    powers, quotients = tables.inverse[prime], tables.inverse_quotients[prime]
    inverse(x, powers, quotients, c.modulus, c.degree, c.degree_quotient, c.modulus // 2, out)


@compiled
def mod_up(tables: Tables, x: Array, source: int, target: int, out: Array, finished: bool) -> None:
    """Take a row of `to_centred` from one prime to another and transform it; see `lift_forward`."""
    c = tables.constants[target]
    shift = c.modulus - tables.pairs[source, target].half
    powers, quotients = tables.forward[target], tables.forward_quotients[target]
    lift_forward(x, c.one, shift, powers, quotients, c.modulus, out, finished)


@compiled
def decompose(
    tables: Tables, x: Array, centred: Array, special: int, finished: bool, out: Array, first: int, stop: int
) -> None:
    """Compute the digits of a polynomial: its centred residues, each taken to every prime and transformed.

    Args:
        tables: The chain's.
        x: uint64 [level, N].
        centred: What `to_centred` makes of x, uint64 [level, N].
        special: The index of the special prime.
        finished: What `lift_forward` says; at most `MAX_LOOSE` digits may be left unfinished.
        out: uint64 [level + 1, level, N], by prime, then by digit; the first axis is written in part.
        first: The first entry of that axis that is written.
        stop: The first entry behind it that is not.
    """
    for j in range(first, stop):
        digits_modulo(tables, x, centred, j if j < len(x) else special, out[j], finished)


@compiled
def digits_modulo(tables: Tables, x: Array, centred: Array, prime: int, out: Array, finished: bool) -> None:
    """Compute all digits modulo one prime: [level, N]."""
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
    """Multiply a polynomial's digits with a key: the result is an extended ciphertext.

    Args:
        tables: The chain's.
        x: uint64 [level, N].
        centred: What `to_centred` makes of x, uint64 [level, N].
        key: The addresses of `Factors`, int64 [at least level, 2, primes].
        special: The index of the special prime.
        out: uint64 [2, level + 1, N]; rows are written.
        first: The first row that is written.
        stop: The first row behind it that is not.
    """
    digits, lists = np.empty_like(x), np.empty((3, len(x)), np.int64)
    for j in range(first, stop):
        prime = j if j < len(x) else special
        digits_modulo(tables, x, centred, prime, digits, len(x) > MAX_LOOSE)
        list_addresses(digits, key, prime, lists)
        key_products(tables, lists, prime, out[0, j], out[1, j])


@compiled
def key_products(tables: Tables, lists: IntArray, prime: int, out_0: Array, out_1: Array) -> None:
    """Compute the inner products of digits with both halves of a key, modulo one prime; see `list_addresses`."""
    digits, N, c = lists.shape[1], out_0.size, tables.constants[prime]
    x, y, z = lists[0].ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data
    first, second, p, montgomery = out_0.ctypes.data, out_1.ctypes.data, c.modulus, c.montgomery
    width = word_bytes(p)
    for k in range(0, 8 * N, 128):
        dot_pair((x, y, z, k, width, digits, first + k, second + k, p, montgomery))


@compiled
def is_past(out: Array) -> bool:
    """Say whether a rotation, uint64 [2, rows, N], is stored past the caches: it is large, and begins at a line."""
    return out.nbytes > KEPT and out.ctypes.data % LINE == 0


@compiled
def list_addresses(digits: Array, key: IntArray, row: int, lists: IntArray) -> None:
    """List the addresses of digits [digits, N] and of a row of both halves of a key, to int64 [3, digits]."""
    for i in range(len(digits)):
        lists[0, i], lists[1, i], lists[2, i] = digits[i].ctypes.data, key[i, 0, row], key[i, 1, row]


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
    """Rotate a ciphertext: `switch`, add the other polynomial times the special prime, and permute.

    The result is extended.

    Args:
        tables: The chain's.
        x: uint64 [2, level, N].
        centred: What `to_centred` makes of its second polynomial, uint64 [level, N].
        key: A key as for `switch`, permuted by the inverse automorphism.
        special: The index of the special prime.
        permutation: What `he.ring.slots.permutation` gives for the automorphism.
        out: uint64 [2, level + 1, N], extended; rows are written.
        first: The first row that is written.
        stop: The first row behind it that is not.
    """
    level = x.shape[1]
    digits, lists, past = np.empty_like(centred), np.empty((3, level), np.int64), is_past(out)
    for j in range(first, stop):
        prime = j if j < level else special
        digits_modulo(tables, x[1], centred, prime, digits, level > MAX_LOOSE)
        list_addresses(digits, key, prime, lists)
        w = tables.pairs[special, prime].residue  # 0 for the special prime itself
        permuted_products(tables, x[0, min(j, level - 1)], w, lists, prime, permutation, past, out[0, j], out[1, j])


@compiled
def rotate_digits(
    tables: Tables, x: Array, digits: Array, key: IntArray, special: int, permutation: Permutation, out: Array
) -> None:
    """Do what `rotate` says with the digits of `decompose`, for all rows."""
    level, lists, past = x.shape[1], np.empty((3, x.shape[1]), np.int64), is_past(out)
    for j in range(level + 1):
        prime = j if j < level else special
        list_addresses(digits[j], key, prime, lists)
        w = tables.pairs[special, prime].residue  # 0 for the special prime itself
        permuted_products(tables, x[0, min(j, level - 1)], w, lists, prime, permutation, past, out[0, j], out[1, j])


@compiled
def permuted_products(
    tables: Tables,
    added: Array,
    w: int,
    lists: IntArray,
    prime: int,
    permutation: Permutation,
    past: bool,
    out_0: Array,
    out_1: Array,
) -> None:
    """Add ``added`` w to the first of the inner products of `key_products`, and permute both; see `rotate`.

    Args:
        tables: The chain's.
        added: uint64 [N].
        w: A number below the prime.
        lists: What `list_addresses` lists.
        prime: The index of the prime.
        permutation: What `he.ring.slots.permutation` gives for the automorphism.
        past: What `is_past` says.
        out_0: uint64 [N], written.
        out_1: uint64 [N], written.
    """
    level, N = lists.shape[1], out_0.size
    places, orders = permutation
    x, y, z = lists[0].ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data
    addend, to, by = added.ctypes.data, places.ctypes.data, orders.ctypes.data
    c = tables.constants[prime]
    r, r_quotient, p, montgomery = c.radix, c.radix_quotient, c.modulus, c.montgomery
    first, second = out_0.ctypes.data, out_1.ctypes.data
    width, asks = word_bytes(p), level > FOLLOWED or not past
    for k in range(0, 8 * N, 128):
        permuted_dot_pair((
            x, y, z, k, width, level, asks, addend, w, r, r_quotient, to, by, past, first, second, p, montgomery,
        ))  # fmt: skip
    if past:
        fence(())


@compiled
def mod_down(tables: Tables, x: Array, divisor: int, out: Array, first: int, stop: int) -> None:
    """Divide by the prime of the last row, and round.

    Args:
        tables: The chain's.
        x: uint64 [polynomials, level + 1, N]; row j < level belongs to prime j, the last one to ``divisor``.
        divisor: The index of the prime to divide by.
        out: uint64 [polynomials, level, N]; polynomials are written.
        first: The first polynomial that is written.
        stop: The first polynomial behind it that is not.
    """
    level, N = out.shape[1], out.shape[2]
    last, rest = np.empty(N, np.uint64), np.empty(N, np.uint64)
    for c in range(first, stop):
        row_to_centred(tables, x[c, level], divisor, last)
        for j in range(level):
            mod_up(tables, last, divisor, j, rest, False)
            pair = tables.pairs[divisor, j]
            mod_down_row(tables, x[c, j], rest, pair.inverse, pair.inverse_quotient, j, out[c, j])


@compiled
def mod_down_row(tables: Tables, x: Array, rest: Array, w: int, quotient: int, prime: int, out: Array) -> None:
    """Compute the exact quotient (x - rest) w modulo one prime: w is the inverse of a divisor, rest may be loose."""
    p = tables.constants[prime].modulus
    source, here, target = x.ctypes.data, rest.ctypes.data, out.ctypes.data
    if p < LOOSE:
        for k in range(0, 8 * x.size, 64):
            loose_difference((source + k, here + k, target + k, w, quotient, p))
    else:
        for k in range(0, 8 * x.size, 64):
            difference((source + k, here + k, target + k, w, quotient, p))
