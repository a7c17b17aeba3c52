"""Key switching by a gadget with several special primes: mod-up of digits, products with keys, and mod-down.

It is what `switching` does for one special prime, with digits of several primes each. A row of an extended polynomial
belongs to the prime that the gadget's ``indices`` name. Digits and the remainders of mod-down come from `extension`:
they are exact, up to a multiple of their modulus that `fraction_error` bounds.
"""

import numpy as np

from he.kernels.passes import transform
from he.kernels.passes.extension import count_multiples, extend_row
from he.kernels.passes.switching import (
    MAX_LOOSE,
    Permutation,
    is_past,
    key_products,
    mod_down_row,
    permuted_products,
)
from he.kernels.tables.chain import Tables
from he.kernels.tables.gadgets import GadgetTables
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

inverse, lift_forward = transform.inverse, transform.lift_forward


@compiled
def to_parts(
    tables: Tables, gadget: GadgetTables, x: Array, parts: Array, multiples: Array, first: int, stop: int
) -> None:
    """Prepare digits for their extension: transform them back, and count the multiples of their moduli.

    Args:
        tables: The chain's.
        gadget: The gadget's.
        x: uint64 [level, N].
        parts: uint64 [level, N], what `extend_row` takes of it; the rows of the digits are written.
        multiples: int64 [digits, N]; digits are written.
        first: The first digit that is prepared.
        stop: The first digit behind it that is not.
    """
    for g in range(first, stop):
        start, end = gadget.groups[g]
        for i in range(start, end):
            row_to_parts(tables, gadget.up.hats[i].value, gadget.up.hats[i].quotient, x[i], i, parts[i])
        count_multiples(parts[start:end], gadget.up.shares[start:end], multiples[g])


@compiled
def row_to_parts(tables: Tables, hat: int, quotient: int, x: Array, prime: int, out: Array) -> None:
    """Transform a row [N] back, its hat in place of 1 / N: the transform and the product with the hat are one."""
    powers, quotients = tables.inverse[prime], tables.inverse_quotients[prime]
    inverse(x, powers, quotients, tables.constants[prime].modulus, hat, quotient, 0, out)


@compiled
def extend_forward(
    tables: Tables,
    parts: Array,
    multiples: Array,
    factors: Array,
    modulus: int,
    prime: int,
    finished: bool,
    out: Array,
) -> None:
    """Do what `extend_row` says and transform the row; ``finished`` is what `lift_forward` says."""
    extend_row(tables, parts, multiples, factors, modulus, prime, False, out)
    c = tables.constants[prime]
    powers, quotients = tables.forward[prime], tables.forward_quotients[prime]
    lift_forward(out, c.one, 0, powers, quotients, c.modulus, out, finished)


@compiled
def digits_modulo(
    tables: Tables,
    gadget: GadgetTables,
    parts: Array,
    multiples: Array,
    row: int,
    finished: bool,
    out: Array,
) -> None:
    """Compute all digits modulo the prime of one row: uint64 [digits, N]. See `decompose`."""
    for g in range(len(gadget.groups)):
        start, end = gadget.groups[g]
        if not start <= row < end:
            extend_forward(
                tables, parts[start:end], multiples[g], gadget.up.factors[g, row], gadget.up.modulus[g, row],
                gadget.indices[row], finished, out[g],
            )  # fmt: skip


@compiled
def decompose(
    tables: Tables,
    gadget: GadgetTables,
    parts: Array,
    multiples: Array,
    out: Array,
    first: int,
    stop: int,
) -> None:
    """Compute the digits of a polynomial, each taken to every prime but its own, and transformed.

    Args:
        tables: The chain's.
        gadget: The gadget's.
        parts: What `to_parts` makes of the polynomial.
        multiples: What `to_parts` counts.
        out: uint64 [rows, digits, N]; rows are written, but for digits modulo their own primes, which the polynomial's
            rows are. Up to `MAX_LOOSE` digits are left unfinished (`lift_forward`).
        first: The first row that is written.
        stop: The first row behind it that is not.
    """
    for row in range(first, stop):
        digits_modulo(tables, gadget, parts, multiples, row, len(multiples) > MAX_LOOSE, out[row])


@compiled
def switch(
    tables: Tables,
    gadget: GadgetTables,
    x: Array,
    parts: Array,
    multiples: Array,
    key: IntArray,
    out: Array,
    first: int,
    stop: int,
) -> None:
    """Multiply a polynomial's digits with a key: the result is an extended ciphertext.

    Args:
        tables: The chain's.
        gadget: The gadget's.
        x: uint64 [level, N].
        parts: What `to_parts` makes of it.
        multiples: What `to_parts` counts.
        key: The addresses of `Factors`, int64 [at least digits, 2, rows].
        out: uint64 [2, rows, N]; rows are written.
        first: The first row that is written.
        stop: The first row behind it that is not.
    """
    digits, lists = np.empty((len(multiples), x.shape[1]), np.uint64), np.empty((3, len(multiples)), np.int64)
    for row in range(first, stop):
        digits_modulo(tables, gadget, parts, multiples, row, len(multiples) > MAX_LOOSE, digits)
        list_digits(gadget, x, digits, key, row, lists)
        key_products(tables, lists, gadget.indices[row], out[0, row], out[1, row])


@compiled
def list_digits(gadget: GadgetTables, x: Array, digits: Array, key: IntArray, row: int, lists: IntArray) -> None:
    """List the addresses of all digits modulo the prime of a row, and of a row of both halves of a key.

    Args:
        gadget: The gadget's.
        x: uint64 [level, N], the digit modulo its own primes.
        digits: uint64 [digits, N], what `digits_modulo` has made of the others.
        key: As for `switch`.
        row: The row.
        lists: int64 [3, digits], written.
    """
    for g in range(len(digits)):
        start, end = gadget.groups[g]
        if start <= row < end:
            lists[0, g] = x[row].ctypes.data
        else:
            lists[0, g] = digits[g].ctypes.data
        lists[1, g], lists[2, g] = key[g, 0, row], key[g, 1, row]


@compiled
def rotate(
    tables: Tables,
    gadget: GadgetTables,
    x: Array,
    parts: Array,
    multiples: Array,
    key: IntArray,
    permutation: Permutation,
    out: Array,
    first: int,
    stop: int,
) -> None:
    """Rotate a ciphertext: `switch`, add the other polynomial times the special primes, and permute.

    Args:
        tables: The chain's.
        gadget: The gadget's.
        x: uint64 [2, level, N].
        parts: What `to_parts` makes of its second polynomial.
        multiples: What `to_parts` counts of that.
        key: A key as for `switch`, permuted by the inverse automorphism.
        permutation: What `he.ring.slots.permutation` gives for the automorphism.
        out: uint64 [2, rows, N], extended; rows are written.
        first: The first row that is written.
        stop: The first row behind it that is not.
    """
    digits, lists = np.empty((len(multiples), x.shape[2]), np.uint64), np.empty((3, len(multiples)), np.int64)
    past = is_past(out)
    for row in range(first, stop):
        digits_modulo(tables, gadget, parts, multiples, row, len(multiples) > MAX_LOOSE, digits)
        list_digits(gadget, x[1], digits, key, row, lists)
        turned_row(tables, gadget, x[0], lists, row, permutation, past, out)


@compiled
def rotate_digits(
    tables: Tables,
    gadget: GadgetTables,
    x: Array,
    digits: Array,
    key: IntArray,
    permutation: Permutation,
    out: Array,
) -> None:
    """Do what `rotate` says with the digits of `decompose`, for all rows."""
    lists, past = np.empty((3, digits.shape[1]), np.int64), is_past(out)
    for row in range(len(digits)):
        list_digits(gadget, x[1], digits[row], key, row, lists)
        turned_row(tables, gadget, x[0], lists, row, permutation, past, out)


@compiled
def turned_row(
    tables: Tables,
    gadget: GadgetTables,
    added: Array,
    lists: IntArray,
    row: int,
    permutation: Permutation,
    past: bool,
    out: Array,
) -> None:
    """Do what `rotate` says for one row, from its digits; ``added`` is the first polynomial, uint64 [level, N]."""
    w = gadget.special[row].value  # 0 modulo a special prime, where any row will do
    addend, prime = added[min(row, len(added) - 1)], gadget.indices[row]
    permuted_products(tables, addend, w, lists, prime, permutation, past, out[0, row], out[1, row])


@compiled
def mod_down(tables: Tables, gadget: GadgetTables, x: Array, out: Array, first: int, stop: int) -> None:
    """Divide extended polynomials by the special primes, and round.

    Args:
        tables: The chain's.
        gadget: The gadget's.
        x: uint64 [polynomials, rows, N].
        out: uint64 [polynomials, level, N]; polynomials are written.
        first: The first polynomial that is written.
        stop: The first polynomial behind it that is not.
    """
    level, N = out.shape[1], out.shape[2]
    parts, rest, multiples = np.empty((x.shape[1] - level, N), np.uint64), np.empty(N, np.uint64), np.empty(N, np.int64)
    down = gadget.down
    for c in range(first, stop):
        for i in range(len(parts)):
            prime = gadget.indices[level + i]
            row_to_parts(tables, down.hats[i].value, down.hats[i].quotient, x[c, level + i], prime, parts[i])
        count_multiples(parts, down.shares, multiples)
        for j in range(level):
            extend_forward(tables, parts, multiples, down.factors[j], down.modulus[j], j, False, rest)
            w = gadget.inverses[j]
            mod_down_row(tables, x[c, j], rest, w.value, w.quotient, j, out[c, j])
