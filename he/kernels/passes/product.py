"""The product of BFV ciphertexts without large integers.

After S. Halevi, Y. Polyakov and V. Shoup, "An Improved RNS Variant of the BFV Homomorphic Encryption Scheme" (CT-RSA
2019): residues modulo q are extended to auxiliary primes b by their fractions in floating point, the tensor product is
computed modulo all of them, and (t e - [t e]_q) / q, an exact division, is the product scaled by t / q and rounded.
Where a fraction is within the floats' error of one half, a value may come out as x - q for x, which is the same
ciphertext.
"""

import itertools
from collections.abc import Callable
from functools import cache, partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from he.kernels.instructions.butterflies import LOOSE_BITS
from he.kernels.passes.evaluate import forward, inverse, multiply, scale, scale_difference, scale_row
from he.kernels.passes.extension import extend_rows
from he.kernels.tables.chain import Tables
from he.kernels.tables.extension import Extension, extension
from he.kernels.tables.roots import factors
from he.ring.primes import LARGEST_PRIME_BITS, ntt_primes
from intnn.machine.jit import compiled
from intnn.values.arrays import Array

AUXILIARY_BITS = LOOSE_BITS, LARGEST_PRIME_BITS  # the fewer, the faster are their transforms


def auxiliary_primes(N: int, primes: tuple[int, ...], plain_modulus: int) -> tuple[int, ...]:
    """Find one prime more than there are data primes, none of ``primes``, that suffice for products at every level.

    A product at the level with modulus q is below 4 t N q. Where t is so large that one prime more cannot make up for
    it, they are two more.

    Args:
        N: The ring degree.
        primes: The data primes and the special one.
        plain_modulus: The plaintext modulus t.

    Raises:
        ValueError: There are too few primes of the largest size.
    """
    for spare, bits in itertools.product((0, 1), AUXILIARY_BITS):
        candidates = ntt_primes((bits,) * (2 * len(primes) + spare), N)
        found = tuple(p for p in candidates if p not in primes)[: len(primes) + spare]
        least = [4 * plain_modulus * N * prod(primes[:level]) for level in range(1, len(primes))]
        if all(prod(found[: level + 1 + spare]) >= needed for level, needed in enumerate(least, 1)):
            return found
    raise ValueError(f"no primes of {bits} bits are enough for products modulo {primes}")


def most_terms(N: int, data: tuple[int, ...], auxiliary: tuple[int, ...], plain_modulus: int) -> int:
    """Count the products at a level whose sum has room modulo the level's auxiliary primes: each is below 4 t N q."""
    return prod(auxiliary) // (4 * plain_modulus * N * prod(data))


class Scaling(NamedTuple):
    """What the product at one level needs besides the chain.

    Attributes:
        up: From the data primes to the auxiliary ones.
        down: From the auxiliary primes back to those of the data.
        plain: `FACTOR` [data and auxiliary primes], t.
        quotients: `FACTOR` [auxiliary primes], 1 / q.
    """

    up: Extension
    down: Extension
    plain: np.ndarray
    quotients: np.ndarray


@cache
def scaling(data: tuple[int, ...], auxiliary: tuple[int, ...], plain_modulus: int) -> Scaling:
    """Compute the constants for one level."""
    q = prod(data)
    inverses = [pow(q, -1, p) for p in auxiliary]
    return Scaling(
        extension(data, auxiliary),
        extension(auxiliary, data),
        factors([plain_modulus] * len(data + auxiliary), data + auxiliary),
        factors(inverses, auxiliary),
    )


@compiled
def extend_polynomial(tables: Tables, extension: Extension, x: Array, auxiliary: int, out: Array) -> None:
    """Extend a polynomial uint64 [level, N] to the auxiliary primes, [auxiliary, N]; both are transformed."""
    coefficients, multiples = x.copy(), np.empty(x.shape[1], np.int64)
    for i in range(len(x)):
        inverse(tables, coefficients[i], i)
    extend_rows(tables, extension, coefficients, 0, auxiliary, multiples, out)
    for j in range(len(out)):
        forward(tables, out[j], auxiliary + j)


@compiled
def scaled(tables: Tables, scaling: Scaling, low: Array, high: Array, auxiliary: int) -> None:
    """Multiply one polynomial of the tensor product with t / q and round it.

    Args:
        tables: Those of a chain of the data primes, the special one and the auxiliary ones.
        scaling: The constants of the level.
        low: uint64 [level, N], modulo the data primes; overwritten with the result. Transformed, before and after.
        high: uint64 [auxiliary, N], modulo the auxiliary primes, transformed; overwritten.
        auxiliary: The index of the first auxiliary prime.
    """
    level, N = low.shape
    rest, multiples = np.empty_like(high), np.empty(N, np.int64)
    for i in range(level):
        inverse(tables, low[i], i)
        scale_row(tables, low[i], i, scaling.plain[i].value, scaling.plain[i].quotient, low[i])
    extend_rows(tables, scaling.up, low, 0, auxiliary, multiples, rest)
    for j in range(len(high)):
        inverse(tables, high[j], auxiliary + j)
        p = tables.constants[auxiliary + j].modulus
        quotient_row(scaling.plain[level + j], scaling.quotients[j], p, rest[j], high[j])
    extend_rows(tables, scaling.down, high, auxiliary, 0, multiples, low)
    for i in range(level):
        forward(tables, low[i], i)


@compiled
def quotient_row(t: Any, inverse_q: Any, p: int, rest: Array, row: Array) -> None:
    """Compute (t e - rest) / q modulo p for a row of e, in place; t and 1 / q are of type `FACTOR`."""
    here, there = row.ctypes.data, rest.ctypes.data
    for k in range(0, 8 * row.size, 64):
        scale((here + k, here + k, t.value, t.quotient, p))
        scale_difference((here + k, there + k, here + k, inverse_q.value, inverse_q.quotient, p))


def scaled_product(
    tables: Tables,
    scaling: Scaling,
    x: Array,
    y: Array,
    auxiliary: int,
    out: Array,
    do_all: Callable[[list[Callable[[], object]]], object],
) -> None:
    """Multiply two transformed BFV ciphertexts; square one if y is x.

    Args:
        tables: Those of a chain of the data primes, the special one and the auxiliary ones.
        scaling: The constants of the level.
        x: uint64 [2, level, N].
        y: uint64 [2, level, N].
        auxiliary: The index of the first auxiliary prime.
        out: uint64 [3, level, N], written.
        do_all: What does independent parts of the work, in any order.
    """
    N, operands, primes = x.shape[-1], [x] if y is x else [x, y], len(scaling.quotients)
    extended = [np.empty((2, primes, N), np.uint64) for _ in operands]
    product = np.empty((3, primes, N), np.uint64)
    do_all(
        [
            partial(extend_polynomial, tables, scaling.up, operand[c], auxiliary, high[c])
            for operand, high in zip(operands, extended, strict=True)
            for c in range(2)
        ]
    )
    do_all(
        [
            partial(multiply, tables, x, y, 0, out),
            partial(multiply, tables, extended[0], extended[-1], auxiliary, product),
        ]
    )
    do_all([partial(scaled, tables, scaling, out[c], product[c], auxiliary) for c in range(3)])
