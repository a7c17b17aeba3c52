"""Functional encryption from lattices: Gaussian samples, transforms of many rows, sums and roundings.

Residues are uint64 below their primes, which are below 2^50. Row j of a polynomial belongs to the j-th prime of a
chain.
`he.functional.rlwe.reference` has the definition in plain Python integers.
"""

from functools import partial

import numpy as np

from he.kernels.instructions.dots import loop
from he.kernels.instructions.multiply import BYTES, LANES, WORDS, words
from he.kernels.passes import evaluate
from he.kernels.passes.expand import remainders
from he.kernels.tables.chain import Tables
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import I64, Builder, Value, load, splat, store
from intnn.values.arrays import Array, IntArray

forward, inverse = evaluate.forward, evaluate.inverse
GROUP = 32  # samples at once: their words stay in registers while thresholds pass by
COUNT_BITS = 6  # the lowest ones of a threshold, which hold how many there are above it


def _add_samples(
    b: Builder,
    uniform: Value,
    table: Value,
    entries: Value,
    multiplier: Value,
    out: Value,
    closest: Value,
    *,
    vectors: int,
) -> None:
    """Add multiples of base samples to ``out``: a word's magnitude stands in the last threshold that it reaches."""
    drawn = [load(b, WORDS, uniform, BYTES * v) for v in range(vectors)]
    raised = [b.or_(word, words((1 << COUNT_BITS) - 1)) for word in drawn]

    def compare(i: Value, reached: list[Value]) -> list[Value]:
        threshold = splat(b, load(b, I64, b.add(table, b.shl(i, I64(3)))), LANES)
        return [
            b.select(b.icmp_unsigned(">=", word, threshold), threshold, last)
            for word, last in zip(raised, reached, strict=True)
        ]

    factor, least = splat(b, multiplier, LANES), load(b, WORDS, closest)
    for v, last in enumerate(loop(b, entries, [splat(b, entries, LANES)] * vectors, compare)):
        negative = b.sub(words(0), b.and_(drawn[v], words(1)))
        count = b.and_(last, words((1 << COUNT_BITS) - 1))
        sample = b.sub(b.xor(count, negative), negative)
        store(b, b.add(load(b, WORDS, out, BYTES * v), b.mul(sample, factor)), out, BYTES * v)
        distance = b.lshr(b.xor(last, drawn[v]), words(COUNT_BITS))
        least = b.select(b.icmp_unsigned("<", distance, least), distance, least)
    store(b, least, closest)


add_samples = emitted(partial(_add_samples, vectors=GROUP // LANES))


@compiled
def gaussian_sums(uniform: Array, table: Array, multipliers: IntArray, out: IntArray, closest: Array) -> None:
    """Sum multiples of base samples, each from the upper 58 bits of a word, and the lowest one for its sign.

    Args:
        uniform: Uniform words, uint64 [terms, n], n a multiple of 32.
        table: Thresholds, rising: uint64 [entries], at most 63. Their upper 58 bits are not 0; below these stands how
            many thresholds are larger.
        multipliers: int64 [terms].
        out: int64 [n], written.
        closest: uint64 [8], lowered. One of them is 0 in the end if the upper bits of a word were those of a threshold,
            or 0: then they do not decide, and ``out`` is of no use.
    """
    for k in range(out.size):
        out[k] = 0
    for term in range(len(multipliers)):
        for k in range(0, 8 * out.size, 8 * GROUP):
            add_samples((
                uniform[term].ctypes.data + k, table.ctypes.data, len(table), multipliers[term],
                out.ctypes.data + k, closest.ctypes.data,
            ))  # fmt: skip


@compiled
def times(a: np.uint64, b: np.uint64, p: np.uint64, inverse_p: float) -> np.uint64:
    """Multiply residues of a prime below 2^50: the quotient, from float64, is off by one at most."""
    rest = a * b - np.uint64(np.float64(a) * np.float64(b) * inverse_p) * p
    rest = min(rest, rest + p)  # unsigned: huge where it is negative
    return min(rest, rest - p)


@compiled
def transformed(tables: Tables, x: IntArray, out: Array) -> None:
    """Reduce integers below 2^60 in magnitude modulo every prime, and transform: int64 [n, N] to [n, primes, N]."""
    for j in range(out.shape[1]):
        p = np.uint64(tables.constants[j].modulus)
        lifted = (np.uint64(1) << np.uint64(60)) // p * p + p
        for i in range(len(x)):
            row = out[i, j]
            for k in range(row.size):
                row[k] = np.uint64(x[i, k]) + lifted
            remainders(row, p)
            forward(tables, row, j)


@compiled
def forward_all(tables: Tables, x: Array) -> None:
    """Transform all rows of [n, primes, N] in place."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            forward(tables, x[i, j], j)


@compiled
def multiply_add(tables: Tables, x: Array, y: Array, z: Array) -> None:
    """Multiply x by a polynomial y and add z, in place, all of them transformed: [n, primes, N] and y [primes, N]."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            p = np.uint64(tables.constants[j].modulus)
            inverse_p = 1.0 / np.float64(p)
            for k in range(x.shape[2]):
                total = times(x[i, j, k], y[j, k], p, inverse_p) + z[i, j, k]
                x[i, j, k] = min(total, total - p)


@compiled
def multiply_back(tables: Tables, x: Array, y: Array, out: Array) -> None:
    """Multiply x by one polynomial and transform back: [n, primes, N] and [primes, N] to [n, primes, N]."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            p, row = np.uint64(tables.constants[j].modulus), out[i, j]
            inverse_p = 1.0 / np.float64(p)
            for k in range(row.size):
                row[k] = times(x[i, j, k], y[j, k], p, inverse_p)
            inverse(tables, row, j)


@compiled
def add_message(
    tables: Tables, c: Array, scales: IntArray, message: IntArray, first: int, errors: IntArray, out: Array
) -> None:
    """Add an error, and a scaled message where there is one, to the first coefficients of polynomials.

    Args:
        tables: The chain's.
        c: uint64 [n, primes, N].
        scales: What a message is multiplied with, modulo every prime: int64 [primes].
        message: int64 [samples, l], at most 255 in magnitude; polynomial i takes column first + i.
        first: The first column.
        errors: int64 [n, coefficients], below 2^58 in magnitude.
        out: uint64 [n, primes, coefficients], written.
    """
    samples, row = len(message), np.empty(out.shape[2], np.int64)
    for j in range(out.shape[1]):
        p = np.uint64(tables.constants[j].modulus)
        lifted = (np.uint64(1) << np.uint64(60)) // p * p + p
        for i in range(len(out)):
            for k in range(row.size):
                row[k] = errors[i, k]
            for k in range(samples):
                row[k] += scales[j] * message[k, first + i]
            for k in range(row.size):
                out[i, j, k] = np.uint64(row[k]) + lifted + c[i, j, k]
            remainders(out[i, j], p)


@compiled
def drop_last(tables: Tables, x: Array, out: Array) -> None:
    """Divide by the last prime and round: coefficients [n, primes, m] to [n, primes - 1, m]."""
    last = x.shape[1] - 1
    d = np.uint64(tables.constants[last].modulus)
    half = d // np.uint64(2)
    for j in range(last):
        p = np.uint64(tables.constants[j].modulus)
        inverse_p, factor = 1.0 / np.float64(p), np.uint64(tables.pairs[last, j].inverse)
        # x + half - ((x + half) modulo d) is a multiple of d: what it is divided by d rounds x / d.
        shift, lifted = half % p, d // p * p + p
        for i in range(len(x)):
            for k in range(x.shape[2]):
                rest = x[i, last, k] + half
                rest = min(rest, rest - d)
                value = x[i, j, k] + shift + lifted - rest
                value -= np.uint64(np.float64(value) * inverse_p) * p
                value = min(value, value + p)
                out[i, j, k] = times(min(value, value - p), factor, p, inverse_p)


@compiled
def limbs(x: Array, j: int, start: int, bits: int, out: Array) -> None:
    """Cut integers into limbs: row j of uint64 [l, rows, coefficients], from a coefficient on.

    Args:
        x: The integers.
        j: The row.
        start: The first coefficient.
        bits: The bits of a limb.
        out: float64 [limbs, l, m], the lowest limb first, written.
    """
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for limb in range(len(out)):
        shift = np.uint64(limb * bits)
        for i in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[limb, i, k] = np.float64((x[i, j, start + k] >> shift) & mask)


@compiled
def add_fractions(
    tables: Tables, sums: Array, bits: int, masks: Array, start: int, j: int, factor: int, out: Array
) -> None:
    """Add the share of one prime to decryptions, as fractions of the modulus.

    Args:
        tables: The chain's.
        sums: Inner products of limbs, integers below 2^53 in magnitude: float64 [limbs, keys, m].
        bits: The bits of a limb.
        masks: What is taken off, uint64 [keys, coefficients].
        start: The first coefficient of ``masks`` that is.
        j: The index of the prime p.
        factor: The inverse of q / p modulo p.
        out: float64 [keys, m], added to; every share is in [0, 1).
    """
    p = np.uint64(tables.constants[j].modulus)
    inverse_p = 1.0 / np.float64(p)
    lifted = (np.uint64(1) << np.uint64(53)) // p * p + p
    radix = (np.uint64(1) << np.uint64(bits)) % p
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            total = np.uint64(0)
            for limb in range(len(sums) - 1, -1, -1):
                part = np.uint64(np.int64(sums[limb, i, k])) + lifted
                part -= np.uint64(np.float64(part) * inverse_p) * p
                part = min(part, part + p)
                total = times(total, radix, p, inverse_p) + min(part, part - p)
                total = min(total, total - p)
            total += p - masks[i, start + k]
            total = min(total, total - p)
            out[i, k] += np.float64(times(total, np.uint64(factor), p, inverse_p)) * inverse_p


@compiled
def nearest(fractions: Array, results: int, out: IntArray, farthest: Array) -> None:
    """Round fractions of the modulus to results, centred, and find how far from the grid they lie.

    Args:
        fractions: float64 [keys, m], from 0 on; whole numbers do not count.
        results: K, the odd number of results.
        out: int64 [keys, m], written.
        farthest: For every key the largest distance, in steps: float64 [keys], written.
    """
    for i in range(out.shape[0]):
        most = 0.0
        for k in range(out.shape[1]):
            value = (fractions[i, k] - np.rint(fractions[i, k])) * results
            rounded = np.rint(value)
            most = max(most, abs(value - rounded))
            whole = np.int64(rounded)
            # Half a modulus away from 0 lies (results - 1) / 2 and a half, between two results.
            whole = whole - results if whole > results // 2 else whole
            out[i, k] = whole + results if whole < -(results // 2) else whole
        farthest[i] = most
