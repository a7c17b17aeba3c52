"""The extension of coefficients from some primes to others, through their fractions in floating point.

Residues x_i modulo primes q_i of product Q belong to the sum of y_i Q / q_i - v Q for every integer v, where y_i is x_i
divided by Q / q_i modulo q_i. With the sum of the y_i / q_i, rounded, for v, this is the centred value (S. Halevi, Y.
Polyakov and V. Shoup, "An Improved RNS Variant of the BFV Homomorphic Encryption Scheme", CT-RSA 2019, section 2).

The sum is made in float64. A share 1 / q_i and the product with it err by 2**-53 of themselves each, and each of k
additions, to 1/2 and at most k, by at most 2**-53 of k + 1: together by no more than `fraction_error`. So the value
reached is always one with the given residues, exactly, and at most (1/2 + that error) Q in magnitude; it is the centred
one unless the fraction is as close as that to one half.
"""

from functools import partial

from he.kernels.instructions import dots
from he.kernels.passes import transform
from he.kernels.passes.evaluate import scale
from he.kernels.tables.chain import Tables
from he.kernels.tables.extension import Extension
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.values.arrays import Array

fractions = emitted(dots.fractions)
extend, extend_loosely = (emitted(partial(dots.extend, finished=finished)) for finished in (True, False))
LOOSE = transform.LOOSE


def fraction_error(count: int) -> float:
    """Bound how far the sum of so many fractions may be wrong, in units of Q."""
    return count * (count + 3) * 2.0**-53


@compiled
def count_multiples(parts: Array, shares: Array, multiples: Array) -> None:
    """Count how often Q has to be subtracted.

    Args:
        parts: The y_i, uint64 [sources, N].
        shares: float64 [sources], 1 / q_i.
        multiples: int64 [N], written.
    """
    count, N = parts.shape
    first, v = parts.ctypes.data, multiples.ctypes.data
    for k in range(0, 8 * N, 64):
        fractions((first + k, 8 * N, shares.ctypes.data, count, v + k))


@compiled
def extend_row(
    tables: Tables, parts: Array, multiples: Array, factors: Array, modulus: int, prime: int, finished: bool, out: Array
) -> None:
    """Compute the residues modulo one more prime.

    Args:
        tables: The chain's.
        parts: The y_i, uint64 [sources, N], at most `MOST_SOURCES` of them.
        multiples: What `count_multiples` counts, int64 [N].
        factors: int64 [at least sources], Q / q_i times 2**52.
        modulus: -Q times 2**52.
        prime: The index of the prime.
        finished: Whether residues are below the prime p. If not, and p is below `LOOSE`, they are below 8 p.
        out: uint64 [N], written.
    """
    c = tables.constants[prime]
    count, N = parts.shape
    first, v, target, w, p, montgomery = (
        parts.ctypes.data, multiples.ctypes.data, out.ctypes.data, factors.ctypes.data, c.modulus, c.montgomery,
    )  # fmt: skip
    if finished or p >= LOOSE:
        for k in range(0, 8 * N, 128):
            extend((first + k, 8 * N, w, count, v + k, modulus, target + k, p, montgomery))
    else:
        for k in range(0, 8 * N, 128):
            extend_loosely((first + k, 8 * N, w, count, v + k, modulus, target + k, p, montgomery))


@compiled
def extend_rows(
    tables: Tables, extension: Extension, x: Array, source: int, target: int, multiples: Array, out: Array
) -> None:
    """Extend coefficients to other primes.

    Args:
        tables: The chain's.
        extension: The constants from the rows' primes to the result's.
        x: uint64 [sources, N], overwritten.
        source: The index of the prime of its first row; the others follow.
        target: The index of the prime of the result's first row.
        multiples: Memory to work on, int64 [N]: how often Q has to be subtracted.
        out: uint64 [targets, N], written.
    """
    count, N = x.shape
    for i in range(count):
        row, hat, p = x[i].ctypes.data, extension.hats[i], tables.constants[source + i].modulus
        for k in range(0, 8 * N, 64):
            scale((row + k, row + k, hat.value, hat.quotient, p))
    count_multiples(x, extension.shares, multiples)
    for j in range(len(out)):
        extend_row(tables, x, multiples, extension.factors[j], extension.modulus[j], target + j, True, out[j])
