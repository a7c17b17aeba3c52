"""The negacyclic transforms of `transform` on a GPU, of any number of rows of one memory at once.

A transform is two passes over global memory at most, for N up to 65536. The first does up to six stages: a block of
threads takes neighbouring columns of a row that is seen as a matrix, whose rows are what the stages combine. The second
does all stages of blocks of 1024 neighbouring residues. Between two steps of stages, which are done in registers, both
exchange residues in shared memory. The inverse goes the other way.

What would be passes of their own is done on the way. The forward transform can take its input from another prime, which
mod-up of a digit is, and put (x - y) w in place of its result y, which ends a division. The inverse multiplies with any
constant in place of 1 / N.

Rows are named by a table, so that one launch takes those of several polynomials and primes. Neighbouring threads read
neighbouring words: at least 128 bytes in the first pass, whose blocks are 16 columns wide for six stages. In shared
memory a half-warp's sixteen words lie in sixteen banks: columns do so by themselves, and in blocks, whose steps take
words 1, 4 or 16 apart, an exclusive or sees to it (`place`). A thread waits for others between writing and reading
alone: what it writes next goes where it has read last, and nobody else has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda import columns
from he.kernels.cuda.columns import FACTOR, MINUEND, ORIGIN, PRIME, SCALE, SOURCE, TARGET
from he.kernels.cuda.words import below, madd, reduced, times
from he.kernels.tables.chain import Chain
from he.kernels.tables.roots import roots
from intnn.machine.cuda.device import place_in_use
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import Launch, bound

DeviceArray = Any
BLOCK_BITS = 6 if SIMULATED else columns.BLOCK_BITS  # even: of the residues of a block that stays in shared memory
BLOCK = 1 << BLOCK_BITS
THREADS = 16 if SIMULATED else 256  # of a block; a simulated thread is a thread of Python
STEP = 3  # stages of a step of the first pass: eight residues of a thread, in registers
PASS_STAGES = 2 * STEP
PASS_THREADS = 8 if SIMULATED else 128  # of a block of a first pass with two steps
MODULUS, MONTGOMERY, ONE, HALF, RADIX, RADIX_QUOTIENT = range(6)  # columns of `constants`
VALUE, QUOTIENT = range(2)  # columns of other tables: a constant and its quotient


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """A chain's tables on the device, uint64, its quotients shifted to 64 bits.

    Attributes:
        N: The ring degree.
        primes: All primes of the chain.
        constants: [primes, 6]: p, -1 / p modulo 2**64, floor(2**64 / p), p // 2, and 2**52 modulo p with its quotient.
        forward: [primes, N, 2], powers of the root with their quotients.
        inverse: [primes, N, 2], powers of the inverse root with their quotients.
        halves: [primes, primes], at [d, j] p_d // 2 modulo p_j.
    """

    N: int
    primes: tuple[int, ...]
    constants: DeviceArray
    forward: DeviceArray
    inverse: DeviceArray
    halves: DeviceArray


_placed: WeakValueDictionary[tuple[tuple[int, int], Chain], DeviceTables] = WeakValueDictionary()


def device_tables(chain: Chain) -> DeviceTables:
    """Return a chain's tables on the GPU in use, copied unless somebody holds them there.

    They are freed with their last holder. Two threads that ask at once may each copy them.

    Raises:
        DeviceError: The GPU does not start, or has too little free memory.
        ValueError: The ring is smaller than a block.
    """
    if chain.N < BLOCK:
        raise ValueError(f"`chain.N` must be at least {BLOCK}, got {chain.N}")
    key = place_in_use(), chain
    tables = _placed.get(key)
    if tables is None:
        tables = _placed[key] = _copied(chain)
    return tables


def are_placed(chain: Chain) -> bool:
    """Whether somebody holds a chain's tables on the GPU in use."""
    return (place_in_use(), chain) in _placed


def forget_tables() -> None:
    """Have tables copied anew where they are asked for next, after a failure with which they may be gone."""
    _placed.clear()


def _copied(chain: Chain) -> DeviceTables:
    constants = chain.tables.constants
    radices = shifted(np.stack([constants["radix"], constants["radix_quotient"]], axis=-1))
    rows = [
        (p, -pow(p, -1, 1 << 64) % (1 << 64), (1 << 64) // p, p // 2, *radix)
        for p, radix in zip(chain.primes, radices, strict=True)
    ]
    tables = [roots(chain.N, p) for p in chain.primes]
    forward, inverse = (
        cuda.to_device(shifted(np.array([np.stack(pair, axis=-1) for pair in pairs])))
        for pairs in (
            [(table.forward, table.forward_quotients) for table in tables],
            [(table.inverse, table.inverse_quotients) for table in tables],
        )
    )
    halves = np.array(chain.tables.pairs["half"], np.uint64)
    return DeviceTables(
        chain.N, chain.primes, cuda.to_device(np.array(rows, np.uint64)), forward, inverse, cuda.to_device(halves)
    )


def shifted(constants: np.ndarray) -> np.ndarray:
    """Shift the quotients of numbers [..., 2] to 64 bits; the result is uint64."""
    result = np.array(constants, np.uint64)
    result[..., 1] <<= np.uint64(12)
    return result


@cuda.jit(device=True, inline="always")
def place(i):  # type: ignore[no-untyped-def]
    """Find the place of a word in shared memory: of sixteen that a half-warp takes at once, no two share a bank."""
    return i ^ (5 * (i >> 4 & 3))


@cuda.jit(device=True, inline="always")
def lifted(value, origin, prime, constants, halves):  # type: ignore[no-untyped-def]
    """Take a residue modulo one prime, centred, to another prime."""
    p = constants[prime, MODULUS]
    moved = below(value + constants[origin, HALF], constants[origin, MODULUS])
    rest = below(times(moved, uint64(1), constants[prime, ONE], p), p)
    return below(rest + (p - halves[origin, prime]), p)


@cuda.jit(device=True, inline="always")
def reduced_sum(low, high, constants, prime):  # type: ignore[no-untyped-def]
    """Divide a sum of products by 2**52 modulo a prime."""
    return reduced(low, high, constants[prime, MODULUS], constants[prime, MONTGOMERY], constants[prime, ONE])


@cuda.jit(device=True, inline="always")
def _forward_stages(v, at, count, roots, prime, k, p):  # type: ignore[no-untyped-def]
    """``count`` stages on 2**count residues below 4 p that are all of what node k of the tree of blocks has here."""
    two = p + p
    for stage in range(count):
        half = 1 << (count - 1 - stage)
        for i in range(1 << (count - 1)):
            block = i >> (count - 1 - stage)
            a, node = at + i + block * half, (k << stage) + block
            x, y = below(v[a], two), times(v[a + half], roots[prime, node, VALUE], roots[prime, node, QUOTIENT], p)
            v[a], v[a + half] = x + y, x + (two - y)


@cuda.jit(device=True, inline="always")
def _inverse_stages(v, at, count, roots, prime, k, p):  # type: ignore[no-untyped-def]
    """Do ``count`` stages of the inverse, on residues below 2 p."""
    two = p + p
    for step in range(count):
        stage, half = count - 1 - step, 1 << step
        for i in range(1 << (count - 1)):
            block = i >> step
            a, node = at + i + block * half, (k << stage) + block
            x, y = v[a], v[a + half]
            v[a] = below(x + y, two)
            v[a + half] = times(x + (two - y), roots[prime, node, VALUE], roots[prime, node, QUOTIENT], p)


def pass_shape(count: int) -> tuple[int, int]:
    """Say how many threads a block of a first pass has, and how many columns."""
    threads = THREADS if count <= STEP else PASS_THREADS
    return threads, threads >> max(count - STEP, 0)


@cache
def forward_pass(count: int) -> Any:
    """Make the kernel of the first ``count`` stages."""
    first, second = min(count, STEP), max(count - STEP, 0)
    size, groups = 1 << first, 1 << (first - second)
    threads, columns = pass_shape(count)
    apart, held = 1 << second, size * threads if second else 1  # rows between a thread's residues at first

    def forward_pass_kernel(memory, table, constants, roots, halves, bits):  # type: ignore[no-untyped-def]
        n = cuda.blockIdx.y
        prime, origin = table[n, PRIME], table[n, ORIGIN]
        source, target, p = table[n, SOURCE], table[n, TARGET], constants[prime, MODULUS]
        c, r = cuda.threadIdx.x & (columns - 1), cuda.threadIdx.x // columns
        column = cuda.blockIdx.x * columns + c
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = memory[source, column + ((r + i * apart) << bits)]
        if origin >= 0:
            for i in range(size):
                v[i] = lifted(v[i], origin, prime, constants, halves)
        _forward_stages(v, 0, first, roots, prime, 1, p)
        if second > 0:
            near = cuda.shared.array(held, uint64)
            for i in range(size):
                near[(r + i * apart) * columns + c] = v[i]
            cuda.syncthreads()
            for i in range(size):
                v[i] = near[(r * size + i) * columns + c]
            for g in range(groups):
                _forward_stages(v, g << second, second, roots, prime, size + r * groups + g, p)
        for i in range(size):
            memory[target, column + ((r * size + i) << bits)] = v[i]

    return forward_pass_kernel


@cache
def inverse_pass(count: int) -> Any:
    """Make the kernel of the last ``count`` stages of the inverse; results are below p."""
    first, second = min(count, STEP), max(count - STEP, 0)
    size, groups = 1 << first, 1 << (first - second)
    threads, columns = pass_shape(count)
    apart, held = 1 << second, size * threads if second else 1

    def inverse_pass_kernel(memory, table, constants, roots, bits):  # type: ignore[no-untyped-def]
        n = cuda.blockIdx.y
        row, prime = table[n, TARGET], table[n, PRIME]
        p = constants[prime, MODULUS]
        c, r = cuda.threadIdx.x & (columns - 1), cuda.threadIdx.x // columns
        column = cuda.blockIdx.x * columns + c
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = memory[row, column + ((r * size + i) << bits)]
        if second > 0:
            near = cuda.shared.array(held, uint64)
            for g in range(groups):
                _inverse_stages(v, g << second, second, roots, prime, size + r * groups + g, p)
            for i in range(size):
                near[(r * size + i) * columns + c] = v[i]
            cuda.syncthreads()
            for i in range(size):
                v[i] = near[(r + i * apart) * columns + c]
        _inverse_stages(v, 0, first, roots, prime, 1, p)
        for i in range(size):
            memory[row, column + ((r + i * apart) << bits)] = below(v[i], p)

    return inverse_pass_kernel


def forward_blocks_kernel(memory, table, column, constants, roots, halves):  # type: ignore[no-untyped-def]
    """Do all stages of a block that are left, by a quarter as many threads as it has residues; results are below p.

    Residues come from the rows that ``column`` names; where it is `SOURCE`, they are of their origin's prime.
    """
    t, block, n = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    source, target, prime, origin = table[n, column], table[n, TARGET], table[n, PRIME], table[n, ORIGIN]
    minuend, p = table[n, MINUEND], constants[prime, MODULUS]
    near = cuda.shared.array(BLOCK, uint64)
    v = cuda.local.array(4, uint64)
    for i in range(4):
        v[i] = memory[source, block * BLOCK + t + i * (BLOCK // 4)]
    if column == SOURCE and origin >= 0:
        for i in range(4):
            v[i] = lifted(v[i], origin, prime, constants, halves)
    k = cuda.gridDim.x + block
    _forward_stages(v, 0, 2, roots, prime, k, p)
    for step in range(1, BLOCK_BITS // 2):
        before, bits = BLOCK_BITS - 2 * step, BLOCK_BITS - 2 * step - 2
        first = ((t >> before) << (before + 2)) + (t & ((1 << before) - 1))
        for i in range(4):
            near[place(first + (i << before))] = v[i]
        cuda.syncthreads()
        first = ((t >> bits) << (bits + 2)) + (t & ((1 << bits) - 1))
        for i in range(4):
            v[i] = near[place(first + (i << bits))]
        _forward_stages(v, 0, 2, roots, prime, (k << (2 * step)) + (t >> bits), p)
    for i in range(4):
        near[place(4 * t + i)] = below(below(v[i], p + p), p)
    cuda.syncthreads()
    for i in range(4):
        at = t + i * (BLOCK // 4)
        value = near[place(at)]
        if minuend >= 0:
            difference = memory[minuend, block * BLOCK + at] + (p - value)
            low, high = madd(uint64(0), uint64(0), difference, uint64(table[n, FACTOR]))
            value = reduced_sum(low, high, constants, prime)
        memory[target, block * BLOCK + at] = value


def inverse_blocks_kernel(memory, table, scales, constants, roots):  # type: ignore[no-untyped-def]
    """Do the inverse's stages within a block, after the product with a constant; results are below p."""
    t, block, n = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    source, target, prime, scale = table[n, SOURCE], table[n, TARGET], table[n, PRIME], table[n, SCALE]
    p, w, quotient = constants[prime, MODULUS], scales[scale, VALUE], scales[scale, QUOTIENT]
    near = cuda.shared.array(BLOCK, uint64)
    v = cuda.local.array(4, uint64)
    for i in range(4):
        at = t + i * (BLOCK // 4)
        near[place(at)] = times(memory[source, block * BLOCK + at], w, quotient, p)
    cuda.syncthreads()
    for i in range(4):
        v[i] = near[place(4 * t + i)]
    k = cuda.gridDim.x + block
    _inverse_stages(v, 0, 2, roots, prime, (k << (BLOCK_BITS - 2)) + t, p)
    for step in range(1, BLOCK_BITS // 2):
        before, bits = 2 * step - 2, 2 * step
        first = ((t >> before) << (before + 2)) + (t & ((1 << before) - 1))
        for i in range(4):
            near[place(first + (i << before))] = v[i]
        cuda.syncthreads()
        first = ((t >> bits) << (bits + 2)) + (t & ((1 << bits) - 1))
        for i in range(4):
            v[i] = near[place(first + (i << bits))]
        _inverse_stages(v, 0, 2, roots, prime, (k << (BLOCK_BITS - bits - 2)) + (t >> bits), p)
    for i in range(4):
        memory[target, block * BLOCK + t + i * (BLOCK // 4)] = below(v[i], p)


def forward(tables: DeviceTables, memory: DeviceArray, table: DeviceArray) -> list[Launch]:
    """Transform rows of uint64 [rows, N], below 4 p, to rows below p.

    Args:
        tables: The tables of the primes.
        memory: The rows.
        table: int64 [n, 6], at most 65535 rows: the source, the target, and the index of the prime. Then the index of
            the prime that the source's residues, below it, are centred and taken from; or -1. Then the row x and the
            factor w, times 2**52, of (x - y) w, which is written in place of the transform y; or -1 and anything.

    Returns:
        What launches it, in order.
    """
    launches, column = [], SOURCE
    for bits, count in passes(tables.N):
        arguments = memory, table, tables.constants, tables.forward, tables.halves, bits
        launches.append(_pass(forward_pass(count), tables.N, count, len(table), arguments))
        column = TARGET
    grid = tables.N // BLOCK, len(table)
    arguments = memory, table, column, tables.constants, tables.forward, tables.halves
    return [*launches, bound(forward_blocks_kernel, grid, BLOCK // 4, *arguments)]


def inverse(tables: DeviceTables, memory: DeviceArray, table: DeviceArray, scales: DeviceArray) -> list[Launch]:
    """Transform rows of uint64 [rows, N], below 2 p, back to rows below p, times a constant.

    Args:
        tables: The tables of the primes.
        memory: The rows.
        table: int64 [n, 4], at most 65535 rows: the source, the target, the index of the prime, and that of the scale.
        scales: uint64 [scales, 2], constants with quotients of 64 bits: 1 / N, or others in its place.

    Returns:
        What launches it, in order.
    """
    grid = tables.N // BLOCK, len(table)
    arguments = memory, table, scales, tables.constants, tables.inverse
    launches = [bound(inverse_blocks_kernel, grid, BLOCK // 4, *arguments)]
    for bits, count in passes(tables.N):
        last = memory, table, tables.constants, tables.inverse, bits
        launches.append(_pass(inverse_pass(count), tables.N, count, len(table), last))
    return launches


def _pass(kernel: Any, N: int, count: int, lines: int, arguments: tuple[Any, ...]) -> Launch:
    threads, columns = pass_shape(count)
    return bound(kernel, ((N >> count) // columns, lines), threads, *arguments)


def passes(N: int) -> Iterator[tuple[int, int]]:
    """Give the bits that a block has after the first pass, and its number of stages; nothing where one pass is enough.

    Raises:
        ValueError: The ring is too large for two passes.
    """
    count = N.bit_length() - 1 - BLOCK_BITS
    if count > PASS_STAGES:
        raise ValueError(f"`N` must be at most {BLOCK << PASS_STAGES}, got {N}")
    if count > 0:
        yield BLOCK_BITS, count
