"""The operations of `evaluate` on a GPU, on many ciphertexts at once: the same residues, bit for bit.

Arrays are uint64 [count, .., N] on the device, in C order; plaintexts and keys are held times 2**52, as on the host.
Callers bring all memory, results included: to allocate may mean to wait for the device.
"""

from functools import cache

from numba import cuda, uint64

from he.kernels.cuda.transform import (
    HALF,
    HALF_DIVISOR,
    MODULUS,
    MONTGOMERY,
    ONE,
    QUOTIENT,
    RADIX,
    RADIX_QUOTIENT,
    VALUE,
    DeviceArray,
    DeviceTables,
    forward,
    in_place,
    inverse,
    launch,
    places,
)
from he.kernels.cuda.words import MAX_TERMS, below, madd, reduced, times


@cuda.jit(device=True, inline="always")
def reduced_sum(low, high, constants, prime):  # type: ignore[no-untyped-def]
    """A sum of products, divided by 2**52, modulo a prime."""
    p, inverse, one = constants[prime, MODULUS], constants[prime, MONTGOMERY], constants[prime, ONE]
    return reduced(low, high, p, inverse, one)


def add_kernel(x, y, out, constants):  # type: ignore[no-untyped-def]
    """Sums of the first components that out has of [count, components, level, N]; what y lacks of them is zero."""
    k, j, n = cuda.grid(3)
    for c in range(out.shape[1]):
        value = x[n, c, j, k]
        out[n, c, j, k] = below(value + y[n, c, j, k], constants[j, MODULUS]) if c < y.shape[1] else value


def multiply_kernel(x, y, out, first, constants):  # type: ignore[no-untyped-def]
    """The product of x0 + x1 s and y0 + y1 s: three components."""
    k, j, n = cuda.grid(3)
    prime = first + j
    p, r, r_quotient = constants[prime, MODULUS], constants[prime, RADIX], constants[prime, RADIX_QUOTIENT]
    x0, x1 = x[n, 0, j, k], x[n, 1, j, k]
    y0, y1 = times(y[n, 0, j, k], r, r_quotient, p), times(y[n, 1, j, k], r, r_quotient, p)
    zero = uint64(0)
    low, high = madd(zero, zero, x0, y0)
    out[n, 0, j, k] = reduced_sum(low, high, constants, prime)
    low, high = madd(zero, zero, x0, y1)
    low, high = madd(low, high, x1, y0)
    out[n, 1, j, k] = reduced_sum(low, high, constants, prime)
    low, high = madd(zero, zero, x1, y1)
    out[n, 2, j, k] = reduced_sum(low, high, constants, prime)


def plain_products_kernel(x, plaintexts, out, constants):  # type: ignore[no-untyped-def]
    """The sum of products of ciphertexts [terms, components, level, N] with plaintexts [terms, level, N]."""
    k, j, c = cuda.grid(3)
    low, high = uint64(0), uint64(0)
    for i in range(x.shape[0]):
        low, high = madd(low, high, x[i, c, j, k], plaintexts[i, j, k])
    out[c, j, k] = reduced_sum(low, high, constants, j)


def key_products_kernel(digits, key, special, out, constants):  # type: ignore[no-untyped-def]
    """Sums of products of digits [count, level + 1, level, N] with both halves of a key."""
    k, j, n = cuda.grid(3)
    level = digits.shape[2]
    prime = j if j < level else special
    low0, high0, low1, high1 = uint64(0), uint64(0), uint64(0), uint64(0)
    for i in range(level):
        digit = digits[n, j, i, k]
        low0, high0 = madd(low0, high0, digit, key[i, 0, prime, k])
        low1, high1 = madd(low1, high1, digit, key[i, 1, prime, k])
    out[n, 0, j, k] = reduced_sum(low0, high0, constants, prime)
    out[n, 1, j, k] = reduced_sum(low1, high1, constants, prime)


@cuda.jit(device=True, inline="always")
def _mod_up(value, origin, prime, constants, division):  # type: ignore[no-untyped-def]
    """A residue modulo one prime, centred, modulo another."""
    p = constants[prime, MODULUS]
    shifted = below(value + constants[origin, HALF], constants[origin, MODULUS])
    rest = below(times(shifted, uint64(1), constants[prime, ONE], p), p)
    return below(rest + (p - division[origin, prime, HALF_DIVISOR]), p)


def lift_digits_kernel(x, component, digits, special, constants, division):  # type: ignore[no-untyped-def]
    """All digits modulo all primes; their coefficients lie where those modulo the special prime will, by digit."""
    k, i, n = cuda.grid(3)
    level = digits.shape[2]
    value = digits[n, level, i, k]
    for j in range(level):
        digits[n, j, i, k] = x[n, component, i, k] if i == j else _mod_up(value, i, j, constants, division)
    digits[n, level, i, k] = _mod_up(value, i, special, constants, division)


def lift_last_kernel(x, out, divisor, constants, division):  # type: ignore[no-untyped-def]
    """The coefficients in the last rows of [count, level + 1, N], modulo the other rows' primes."""
    k, j, n = cuda.grid(3)
    out[n, j, k] = _mod_up(x[n, out.shape[1], k], divisor, j, constants, division)


def mod_down_kernel(x, out, divisor, constants, division):  # type: ignore[no-untyped-def]
    """(x - out) / p, where out is what is left modulo the divisor p."""
    k, j, n = cuda.grid(3)
    p = constants[j, MODULUS]
    difference = x[n, j, k] + (p - out[n, j, k])
    out[n, j, k] = below(times(difference, division[divisor, j, VALUE], division[divisor, j, QUOTIENT], p), p)


def permute_kernel(x, order, out):  # type: ignore[no-untyped-def]
    """Entry k becomes entry order[k], in every row of [count, components, level, N]."""
    k, j, n = cuda.grid(3)
    for c in range(x.shape[1]):
        out[n, c, j, k] = x[n, c, j, order[k]]


def add(tables: DeviceTables, x: DeviceArray, y: DeviceArray, out: DeviceArray) -> None:
    """The sum of [count, at least components, level, N] and [count, any, level, N] to [count, components, level, N].

    Components that y lacks are zero, others that x has beyond those of ``out`` are left out; ``out`` may be x or y.
    """
    count, _, level, N = out.shape
    launch(add_kernel, (N, level, count), x, y, out, tables.constants)


def multiply(tables: DeviceTables, x: DeviceArray, y: DeviceArray, first: int, out: DeviceArray) -> None:
    """The tensor products of [count, 2, rows, N]: [count, 3, rows, N]; row j belongs to prime first + j."""
    count, _, rows, N = x.shape
    launch(multiply_kernel, (N, rows, count), x, y, out, first, tables.constants)


def plain_products(tables: DeviceTables, x: DeviceArray, plaintexts: DeviceArray, out: DeviceArray) -> None:
    """The sum of products of [terms, components, level, N] with [terms, level, N]: [components, level, N].

    Raises:
        ValueError: There are too many terms.
    """
    if len(x) > MAX_TERMS:
        raise ValueError(f"there must be at most {MAX_TERMS} products in a sum, got {len(x)}")
    components, level, N = out.shape
    launch(plain_products_kernel, (N, level, components), x, plaintexts, out, tables.constants)


def decompose(tables: DeviceTables, x: DeviceArray, component: int, special: int, digits: DeviceArray) -> None:
    """The digits of one component, centred, modulo every prime, transformed.

    Args:
        tables: Of the chain.
        x: [count, components, level, N].
        component: Which.
        special: Index of the special prime.
        digits: [count, level + 1, level, N], written: by prime, the special one last, then by digit.
    """
    count, components, level, N = x.shape
    read, written = _digit_rows(count, components, component, level, special)
    inverse(tables, x, digits, read)
    launch(lift_digits_kernel, (N, level, count), x, component, digits, special, tables.constants, tables.division)
    forward(tables, digits, digits, written)


def switch_key(
    tables: DeviceTables, digits: DeviceArray, key: DeviceArray, special: int, sums: DeviceArray, out: DeviceArray
) -> None:
    """The digits' inner products with a key, divided by the special prime and rounded.

    Args:
        tables: Of the chain.
        digits: [count, level + 1, level, N], see `decompose`.
        key: [at least level, 2, primes, N].
        special: Index of the special prime.
        sums: [count, 2, level + 1, N], overwritten.
        out: [count, 2, level, N], written.
    """
    count, primes, level, N = digits.shape
    launch(key_products_kernel, (N, primes, count), digits, key, special, sums, tables.constants)
    mod_down(tables, sums.reshape(2 * count, primes, N), special, out.reshape(2 * count, level, N))


def mod_down(tables: DeviceTables, x: DeviceArray, divisor: int, out: DeviceArray) -> None:
    """Divide by the prime of the last row, and round.

    Args:
        tables: Of the chain.
        x: [count, level + 1, N]; row j < level belongs to prime j, the last one, overwritten, to ``divisor``.
        divisor: Index of a prime.
        out: [count, level, N], written.
    """
    count, level, N = out.shape
    inverse(tables, x, x, _last_rows(count, level, divisor))
    launch(lift_last_kernel, (N, level, count), x, out, divisor, tables.constants, tables.division)
    forward(tables, out, out, all_rows(count, level, 0))
    launch(mod_down_kernel, (N, level, count), x, out, divisor, tables.constants, tables.division)


def permute(x: DeviceArray, order: DeviceArray, out: DeviceArray) -> None:
    """An automorphism: entry k becomes entry order[k], in every row of [count, components, level, N]."""
    count, _, level, N = x.shape
    launch(permute_kernel, (N, level, count), x, order, out)


@cache
def all_rows(count: int, rows: int, first: int) -> DeviceArray:
    """All rows of [count, rows, N], which belong to the primes from ``first`` on."""
    return in_place((n * rows + j, first + j) for n in range(count) for j in range(rows))


@cache
def _last_rows(count: int, level: int, prime: int) -> DeviceArray:
    """The last rows of [count, level + 1, N]."""
    return in_place((n * (level + 1) + level, prime) for n in range(count))


@cache
def _digit_rows(count: int, components: int, component: int, level: int, special: int) -> tuple[DeviceArray, ...]:
    """From one component to the special prime's digits; then the digits that are not yet transformed."""
    start = [n * (level + 1) * level for n in range(count)]
    read = [
        ((n * components + component) * level + i, start[n] + level * level + i, i)
        for n in range(count)
        for i in range(level)
    ]
    written = [
        (start[n] + j * level + i, j if j < level else special)
        for n in range(count)
        for j in range(level + 1)
        for i in range(level)
        if i != j
    ]
    return places(tuple(read)), in_place(written)
