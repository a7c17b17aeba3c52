"""The product of BFV ciphertexts without large integers.

After S. Halevi, Y. Polyakov and V. Shoup, "An Improved RNS Variant of the BFV Homomorphic Encryption Scheme" (CT-RSA
2019): residues modulo q are extended to auxiliary primes b by their fractions in floating point, the tensor product is
computed modulo all of them, and (t e - [t e]_q) / q, an exact division, is the product scaled by t / q and rounded.
Where a fraction is within the floats' error of one half, a value may come out as x - q for x, which is the same
ciphertext.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import prod

import numpy as np

from he.kernels.instructions import dots
from he.kernels.instructions.butterflies import LOOSE_BITS
from he.kernels.passes.evaluate import Tables, forward, inverse, multiply, scale, scale_difference, scale_row
from he.kernels.tables.roots import LARGEST_PRIME_BITS, WORD, quotient
from he.ring.primes import ntt_primes
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray

fractions, extend = emitted(dots.fractions), emitted(dots.extend)
AUXILIARY_BITS = LOOSE_BITS, LARGEST_PRIME_BITS  # the fewer, the faster are their transforms


def auxiliary_primes(N: int, primes: tuple[int, ...], plain_modulus: int) -> tuple[int, ...]:
    """One prime more than there are data primes, none of ``primes``: at every level enough for the product, 4 t N q.

    Args:
        N: Ring degree.
        primes: Of the data, and the special one.
        plain_modulus: t.
    """
    for bits in AUXILIARY_BITS:
        candidates = ntt_primes((bits,) * (2 * len(primes)), N)
        found = tuple(p for p in candidates if p not in primes)[: len(primes)]
        least = [4 * plain_modulus * N * prod(primes[:level]) for level in range(1, len(primes))]
        if all(prod(found[: level + 1]) >= needed for level, needed in enumerate(least, 1)):
            return found
    raise ValueError(f"no primes of {bits} bits are enough for products modulo {primes}")


@dataclass(frozen=True, eq=False)
class Extension:
    """From residues modulo some primes to residues modulo others, of the centred value.

    Attributes:
        hats: int64 [sources, 2], 1 / (Q / q_i) modulo q_i with its quotient.
        shares: float64 [sources], 1 / q_i.
        factors: int64 [targets, sources], Q / q_i times 2**52.
        modulus: int64 [targets], -Q times 2**52.
    """

    hats: np.ndarray
    shares: np.ndarray
    factors: np.ndarray
    modulus: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the kernel takes."""
        return self.hats, self.shares, self.factors, self.modulus


@cache
def extension(sources: tuple[int, ...], targets: tuple[int, ...]) -> Extension:
    """The constants."""
    Q = prod(sources)
    inverses = [pow(Q // q, -1, q) for q in sources]
    return Extension(
        np.array([[w, quotient(w, q)] for w, q in zip(inverses, sources, strict=True)], np.int64),
        1 / np.array(sources, np.float64),
        np.array([[(Q // q << WORD) % p for q in sources] for p in targets], np.int64),
        np.array([-(Q << WORD) % p for p in targets], np.int64),
    )


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the product at one level needs besides the chain.

    Attributes:
        up: From the data primes to the auxiliary ones.
        down: Back.
        plain: int64 [data and auxiliary primes, 2], t with its quotient.
        quotients: int64 [auxiliary primes, 2], 1 / q with its quotient.
    """

    up: Extension
    down: Extension
    plain: np.ndarray
    quotients: np.ndarray

    @property
    def arrays(self) -> tuple[object, ...]:
        """What the kernel takes."""
        return self.up.arrays, self.down.arrays, self.plain, self.quotients


@cache
def scaling(data: tuple[int, ...], auxiliary: tuple[int, ...], plain_modulus: int) -> Scaling:
    """The constants for one level."""
    q = prod(data)
    inverses = [pow(q, -1, p) for p in auxiliary]
    return Scaling(
        extension(data, auxiliary),
        extension(auxiliary, data),
        np.array([[plain_modulus % p, quotient(plain_modulus % p, p)] for p in (*data, *auxiliary)], np.int64),
        np.array([[w, quotient(w, p)] for w, p in zip(inverses, auxiliary, strict=True)], np.int64),
    )


@compiled
def extend_rows(
    tables: Tables, constants: Tables, x: Array, source: int, target: int, multiples: Array, out: Array
) -> None:
    """Coefficients to other primes.

    Args:
        tables: `Chain.arrays`.
        constants: `Extension.arrays`.
        x: uint64 [sources, N], overwritten.
        source: The prime of its first row; the others follow.
        target: The same for the result.
        multiples: int64 [N], memory: how often Q has to be subtracted.
        out: uint64 [targets, N], written.
    """
    hats, shares, factors, modulus = constants
    count, N = x.shape
    for i in range(count):
        row, p = x[i].ctypes.data, tables[0][source + i]
        for k in range(0, 8 * N, 64):
            scale((row + k, row + k, hats[i, 0], hats[i, 1], p))
    first, v = x.ctypes.data, multiples.ctypes.data
    for k in range(0, 8 * N, 64):
        fractions((first + k, 8 * N, shares.ctypes.data, count, v + k))
    for j in range(len(out)):
        prime = target + j
        for k in range(0, 8 * N, 64):
            extend((
                first + k, 8 * N, factors[j].ctypes.data, count, v + k, modulus[j], out[j].ctypes.data + k,
                tables[0][prime], tables[6][prime],
            ))  # fmt: skip


@compiled
def extended(tables: Tables, constants: Tables, x: Array, auxiliary: int, out: Array) -> None:
    """A polynomial uint64 [level, N] modulo the auxiliary primes, both transformed: to [level + 1, N]."""
    coefficients, multiples = x.copy(), np.empty(x.shape[1], np.int64)
    for i in range(len(x)):
        inverse(tables, coefficients[i], i)
    extend_rows(tables, constants, coefficients, 0, auxiliary, multiples, out)
    for j in range(len(out)):
        forward(tables, out[j], auxiliary + j)


@compiled
def scaled(tables: Tables, constants: Tables, low: Array, high: Array, auxiliary: int) -> None:
    """One polynomial of the tensor product, times t / q and rounded.

    Args:
        tables: `Chain.arrays` of the data primes, the special one and the auxiliary ones.
        constants: `Scaling.arrays`.
        low: uint64 [level, N], modulo the data primes; overwritten with the result. Transformed, before and after.
        high: uint64 [level + 1, N], modulo the auxiliary primes, transformed; overwritten.
        auxiliary: Index of the first auxiliary prime.
    """
    up, down, plain, quotients = constants
    level, N = low.shape
    rest, multiples = np.empty((level + 1, N), np.uint64), np.empty(N, np.int64)
    for i in range(level):
        inverse(tables, low[i], i)
        scale_row(tables, low[i], i, plain[i, 0], plain[i, 1], low[i])
    extend_rows(tables, up, low, 0, auxiliary, multiples, rest)
    for j in range(level + 1):
        inverse(tables, high[j], auxiliary + j)
        quotient_row(plain[level + j], quotients[j], tables[0][auxiliary + j], rest[j], high[j])
    extend_rows(tables, down, high, auxiliary, 0, multiples, low)
    for i in range(level):
        forward(tables, low[i], i)


@compiled
def quotient_row(t: IntArray, inverse_q: IntArray, p: int, rest: Array, row: Array) -> None:
    """(t e - rest) / q modulo p for a row of e, in place; the numbers come with their quotients."""
    here, there = row.ctypes.data, rest.ctypes.data
    for k in range(0, 8 * row.size, 64):
        scale((here + k, here + k, t[0], t[1], p))
        scale_difference((here + k, there + k, here + k, inverse_q[0], inverse_q[1], p))


def scaled_product(
    tables: Tables,
    constants: Tables,
    x: Array,
    y: Array,
    auxiliary: int,
    out: Array,
    do_all: Callable[[list[Callable[[], object]]], object],
) -> None:
    """The product of two BFV ciphertexts, transformed; a square if y is x.

    Args:
        tables: As for `scaled`.
        constants: As for `scaled`.
        x: uint64 [2, level, N].
        y: The same.
        auxiliary: Index of the first auxiliary prime.
        out: uint64 [3, level, N], written.
        do_all: Does independent parts of the work, in any order.
    """
    _, level, N = x.shape
    operands = [x] if y is x else [x, y]
    raised = [np.empty((2, level + 1, N), np.uint64) for _ in operands]
    product = np.empty((3, level + 1, N), np.uint64)
    do_all(
        [
            partial(extended, tables, constants[0], operand[c], auxiliary, high[c])
            for operand, high in zip(operands, raised, strict=True)
            for c in range(2)
        ]
    )
    do_all(
        [
            partial(multiply, tables, x, y, 0, out),
            partial(multiply, tables, raised[0], raised[-1], auxiliary, product),
        ]
    )
    do_all([partial(scaled, tables, constants, out[c], product[c], auxiliary) for c in range(3)])
