"""Spans of vectors modulo a prime of 61 bits, in reduced echelon form.

A span of rank r has a basis that is the unit matrix at r of the positions, its pivots. An order of the positions puts
the pivots first, so that only the rest of the basis is stored: row i is the unit vector of pivot i plus
``rest[i, r:]``, at the positions ``order[r:]``. What a vector has at the pivots says at once which multiples of the
rows to subtract from it, so a vector costs r (n - r) products. The reference is `he.kernels.reference.absorbed`.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from he.ring import primes
from intnn.machine.jit import compiled
from intnn.machine.wide import high_word
from intnn.values.arrays import Array

BITS = 61  # of a prime: sums of two residues fit a word
BASES = primes.BASES
LIMB = 30  # of a weight: 2**16 products of its limbs and words of 16 bits are added up in int64


class Modulus(NamedTuple):
    """What products modulo a prime need (P. L. Montgomery, "Modular Multiplication Without Trial Division", 1985).

    Attributes:
        prime: The prime p, between 2**60 and 2**61.
        inverse: 1 / p modulo 2**64.
        square: 2**128 modulo p.
    """

    prime: np.uint64
    inverse: np.uint64
    square: np.uint64


@cache
def modulus(prime: int) -> Modulus:
    """Compute the constants of a prime."""
    return Modulus(np.uint64(prime), np.uint64(pow(prime, -1, 1 << 64)), np.uint64((1 << 128) % prime))


@compiled
def _divided_product(a: int, b: int, m: Modulus) -> int:
    """Return a b / 2**64 modulo p, for words a and residues b."""
    multiple = high_word(a * b * m.inverse, m.prime)
    upper = high_word(a, b)
    return upper - multiple if upper >= multiple else upper + m.prime - multiple


@compiled
def _subtract(row: Array, factor: int, other: Array, m: Modulus) -> None:
    """Subtract a multiple of another row, element by element."""
    shifted = _divided_product(factor, m.square, m)  # the factor times 2**64, which the product divides by
    for j in range(len(row)):
        part = _divided_product(shifted, other[j], m)
        row[j] = row[j] - part if row[j] >= part else row[j] + m.prime - part


@compiled
def _inverse(x: int, m: Modulus) -> int:
    """Return 1 / x modulo p, by Fermat: x to the power p - 2."""
    base = _divided_product(x, m.square, m)
    result = _divided_product(np.uint64(1), m.square, m)
    exponent = m.prime - np.uint64(2)
    while exponent:
        if exponent & np.uint64(1):
            result = _divided_product(result, base, m)
        base = _divided_product(base, base, m)
        exponent >>= np.uint64(1)
    return _divided_product(result, np.uint64(1), m)


@compiled
def is_prime(n: int) -> bool:
    """Whether an odd number between 2**60 and 2**61 is prime; the reference is `he.ring.primes.is_prime`."""
    p, one = np.uint64(n), np.uint64(1)
    for base in BASES:
        if p % np.uint64(base) == 0:
            return False
    inverse = p  # to three bits, as the square of an odd number is 1 modulo 8; every step doubles them
    for _ in range(5):
        inverse *= np.uint64(2) - p * inverse
    square = (np.uint64(0) - p) % p  # 2**64 modulo p, doubled 64 times
    for _ in range(64):
        square = min(square + square, square + square - p)  # unsigned: huge where it is negative
    m = Modulus(p, inverse, square)
    exponent, halvings = p - one, 0
    while not exponent & one:
        exponent, halvings = exponent >> one, halvings + 1
    unit = _divided_product(one, square, m)
    for base in BASES:
        x, power, rest = unit, _divided_product(np.uint64(base), square, m), exponent
        while rest:
            if rest & one:
                x = _divided_product(x, power, m)
            power, rest = _divided_product(power, power, m), rest >> one
        passed = (x == unit) | (x == p - unit)
        for _ in range(halvings - 1):
            x = _divided_product(x, x, m)
            passed |= x == p - unit
        if not passed:
            return False
    return True


@compiled
def combine(y: Array, weights: Array, m: Modulus, sums: Array, out: Array) -> None:
    """Write a combination of vectors modulo p.

    Args:
        y: int64 [vectors, n], at most 2**16 vectors whose elements are below 2**15 in magnitude.
        weights: uint64 [vectors], each below 2**61.
        m: The prime.
        sums: Memory to work on, int64 [2, n].
        out: uint64 [n], written.
    """
    sums[:] = 0
    low, high = sums[0], sums[1]
    for k in range(len(y)):
        row, a, b = y[k], np.int64(weights[k] & np.uint64((1 << LIMB) - 1)), np.int64(weights[k] >> np.uint64(LIMB))
        for j in range(len(row)):
            low[j] += a * row[j]
            high[j] += b * row[j]
    prime, shift = np.int64(m.prime), _divided_product(np.uint64(1 << LIMB), m.square, m)
    for j in range(len(out)):
        total = _divided_product(shift, np.uint64(high[j] % prime), m) + np.uint64(low[j] % prime)
        out[j] = total - m.prime if total >= m.prime else total


@compiled
def reduce(rest: Array, order: Array, rank: int, vector: Array, m: Modulus, out: Array) -> bool:
    """Subtract from a vector what the span has of it; return whether anything is left, which lies in no pivot.

    Args:
        rest: uint64 [rows, n], the first ``rank`` of which are the basis.
        order: int64 [n].
        rank: The number r of pivots.
        vector: uint64 [n], residues by their positions.
        m: The prime.
        out: uint64 [n], written from r on: what is left, in the span's order.
    """
    left = out[rank:]
    for j in range(len(left)):
        left[j] = vector[order[rank + j]]
    for i in range(rank):
        factor = vector[order[i]]
        if factor:
            _subtract(left, factor, rest[i, rank:], m)
    return bool(left.any())


@compiled
def absorb(rest: Array, order: Array, rank: int, vector: Array, m: Modulus) -> int:
    """Add a vector to the span, in place; return its rank then. See `reduce`; ``rest`` has a row to spare."""
    new = rest[rank]
    if not reduce(rest, order, rank, vector, m, new):
        return rank
    pivot = rank
    while not new[pivot]:
        pivot += 1
    inverse = _divided_product(_inverse(new[pivot], m), m.square, m)
    for j in range(rank, len(new)):
        new[j] = _divided_product(inverse, new[j], m)
    for i in range(rank + 1):
        rest[i, rank], rest[i, pivot] = rest[i, pivot], rest[i, rank]
    order[rank], order[pivot] = order[pivot], order[rank]
    for i in range(rank):
        _subtract(rest[i, rank + 1 :], rest[i, rank], new[rank + 1 :], m)
    return rank + 1


@compiled
def grow(
    rest: Array, order: Array, rank: int, y: Array, weights: Array, m: Modulus, sums: Array, combinations: Array
) -> int:
    """Add combinations of vectors to the span, in place, until one lies in it or there are no more; return its rank.

    Args:
        rest: As for `absorb`, with as many rows to spare as there are combinations.
        order: int64 [n].
        rank: The span's rank.
        y: As for `combine`.
        weights: uint64 [combinations, vectors].
        m: The prime.
        sums: As for `combine`.
        combinations: uint64 [combinations, n], written: those that were added lie first, one for every new rank.
    """
    for row in range(len(weights)):
        combine(y, weights[row], m, sums, combinations[row])
        grown = absorb(rest, order, rank, combinations[row], m)
        if grown == rank:
            break
        rank = grown
    return rank
