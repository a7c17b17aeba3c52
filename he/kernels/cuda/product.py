"""The product of BFV ciphertexts of `product` on a GPU, of many at once: the same residues, bit for bit.

Which multiple of a modulus a sum is too large by, fractions in floating point decide: they are added in the order of
the CPU's kernels, and rounded as often.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.evaluate import all_rows, multiply, reduced_sum
from he.kernels.cuda.transform import (
    MODULUS,
    QUOTIENT,
    VALUE,
    DeviceArray,
    DeviceTables,
    forward,
    inverse,
    launch,
    shifted,
)
from he.kernels.cuda.words import add_share, below, madd, times
from he.kernels.passes.product import Extension, scaling
from he.kernels.tables import roots


@dataclass(frozen=True, eq=False)
class DeviceExtension:
    """An `Extension` on the device.

    Attributes:
        hats: uint64 [sources, 2], with quotients of 64 bits.
        shares: float64 [sources].
        factors: uint64 [targets, sources + 1], times 2**52: after those of the sources, -Q.
    """

    hats: DeviceArray
    shares: DeviceArray
    factors: DeviceArray


@dataclass(frozen=True, eq=False)
class DeviceScaling:
    """What the product at one level needs besides the chain, see `product.Scaling`.

    Attributes:
        up: From the data primes to the auxiliary ones.
        scaled_up: The same, of t times the value.
        down: Back.
        plain: uint64 [auxiliary primes, 2], t.
        quotients: uint64 [auxiliary primes, 2], 1 / q.
    """

    up: DeviceExtension
    scaled_up: DeviceExtension
    down: DeviceExtension
    plain: DeviceArray
    quotients: DeviceArray


@cache
def device_scaling(data: tuple[int, ...], auxiliary: tuple[int, ...], plain_modulus: int) -> DeviceScaling:
    """The constants for one level; one more auxiliary prime than ``data`` has."""
    constants = scaling(data, auxiliary, plain_modulus)
    return DeviceScaling(
        _extension(constants.up, data, 1),
        _extension(constants.up, data, plain_modulus),
        _extension(constants.down, auxiliary, 1),
        cuda.to_device(_columns(constants.plain[len(data) :])),
        cuda.to_device(_columns(constants.quotients)),
    )


def _extension(extension: Extension, sources: tuple[int, ...], multiple: int) -> DeviceExtension:
    hats = [int(w) * multiple % q for w, q in zip(extension.hats["value"], sources, strict=True)]
    factors = np.column_stack([extension.factors, extension.modulus]).astype(np.uint64)
    return DeviceExtension(
        *(cuda.to_device(array) for array in (_columns(roots.factors(hats, sources)), extension.shares, factors))
    )


def _columns(numbers: np.ndarray) -> np.ndarray:
    """`FACTOR` [...] as uint64 [..., 2], with quotients of 64 bits."""
    return shifted(np.stack([numbers["value"], numbers["quotient"]], axis=-1))


def extend_kernel(x, out, source, target, hats, shares, factors, constants):  # type: ignore[no-untyped-def]
    """Coefficients [count, sources, N], overwritten, to [count, targets, N]; primes count from source and target."""
    k, n = cuda.grid(2)
    sources, share = x.shape[1], 0.5
    for i in range(sources):
        p = constants[source + i, MODULUS]
        value = below(times(x[n, i, k], hats[i, VALUE], hats[i, QUOTIENT], p), p)
        x[n, i, k] = value
        share = add_share(share, value, shares[i])
    multiple = uint64(share)
    for j in range(out.shape[1]):
        low, high = madd(uint64(0), uint64(0), multiple, factors[j, sources])
        for i in range(sources):
            low, high = madd(low, high, x[n, i, k], factors[j, i])
        out[n, j, k] = reduced_sum(low, high, constants, target + j)


def quotient_kernel(x, rest, auxiliary, plain, quotients, constants):  # type: ignore[no-untyped-def]
    """(t x - rest) / q, in place of x [count, rows, N]: an exact division, modulo the auxiliary primes."""
    k, j, n = cuda.grid(3)
    p = constants[auxiliary + j, MODULUS]
    scaled = below(times(x[n, j, k], plain[j, VALUE], plain[j, QUOTIENT], p), p)
    x[n, j, k] = below(times(scaled + (p - rest[n, j, k]), quotients[j, VALUE], quotients[j, QUOTIENT], p), p)


@dataclass(frozen=True, eq=False)
class Memory:
    """What a product works on, uint64; contents are of no interest.

    Attributes:
        coefficients: [count, 2, level, N].
        extended: Two of [count, 2, level + 1, N].
        product: [count, 3, level + 1, N].
        rest: The same.
    """

    coefficients: DeviceArray
    extended: tuple[DeviceArray, DeviceArray]
    product: DeviceArray
    rest: DeviceArray


def memory(count: int, level: int, N: int) -> Memory:
    """Allocate it."""
    sizes = (2, level), (2, level + 1), (2, level + 1), (3, level + 1), (3, level + 1)
    coefficients, *extended, product, rest = (cuda.device_array((count, *size, N), np.uint64) for size in sizes)
    return Memory(coefficients, (extended[0], extended[1]), product, rest)


def scaled_product(
    tables: DeviceTables,
    constants: DeviceScaling,
    x: DeviceArray,
    y: DeviceArray,
    auxiliary: int,
    memory: Memory,
    out: DeviceArray,
) -> None:
    """The products of BFV ciphertexts, transformed; squares if y is x.

    Args:
        tables: Of the data primes, the special one and the auxiliary ones.
        constants: For the level.
        x: [count, 2, level, N].
        y: The same.
        auxiliary: Index of the first auxiliary prime.
        memory: For so many ciphertexts of that level.
        out: [count, 3, level, N], written.
    """
    count, _, level, N = x.shape
    first, second = memory.extended
    for operand, extended in [(x, first)] if y is x else [(x, first), (y, second)]:
        inverse(tables, operand, memory.coefficients, all_rows(2 * count, level, 0))
        _extend(tables, constants.up, memory.coefficients, 0, extended, auxiliary)
        forward(tables, extended, extended, all_rows(2 * count, level + 1, auxiliary))
    multiply(tables, x, y, 0, out)
    multiply(tables, first, first if y is x else second, auxiliary, memory.product)

    low, high = all_rows(3 * count, level, 0), all_rows(3 * count, level + 1, auxiliary)
    inverse(tables, out, out, low)
    inverse(tables, memory.product, memory.product, high)
    _extend(tables, constants.scaled_up, out, 0, memory.rest, auxiliary)
    shape = 3 * count, level + 1, N
    product, rest = memory.product.reshape(*shape), memory.rest.reshape(*shape)
    arguments = constants.plain, constants.quotients, tables.constants
    launch(quotient_kernel, (N, level + 1, 3 * count), product, rest, auxiliary, *arguments)
    _extend(tables, constants.down, memory.product, auxiliary, out, 0)
    forward(tables, out, out, low)


def _extend(
    tables: DeviceTables, extension: DeviceExtension, x: DeviceArray, source: int, out: DeviceArray, target: int
) -> None:
    """Coefficients [count, components, sources, N], overwritten, to [count, components, targets, N]."""
    count, components, sources, N = x.shape
    polynomials, targets = count * components, out.shape[2]
    x, out = x.reshape(polynomials, sources, N), out.reshape(polynomials, targets, N)
    numbers = extension.hats, extension.shares, extension.factors, tables.constants
    launch(extend_kernel, (N, polynomials), x, out, source, target, *numbers)
