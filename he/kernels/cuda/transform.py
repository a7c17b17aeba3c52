"""The negacyclic transforms of `transform` on a GPU, of any number of rows at once.

A row's first stages, at most three a launch, take place in registers; once a block is small, all the stages that are
left do, two between one way to shared memory and the next. The inverse goes the other way. Rows are named by a table,
so that one launch takes those of several polynomials and primes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, uint64

from he.kernels.cuda.words import below, times
from he.kernels.tables.chain import Chain
from he.kernels.tables.roots import roots
from intnn.machine.cuda.intrinsics import SIMULATED

DeviceArray = Any
BLOCK_BITS = 4 if SIMULATED else 10  # even: of the residues of a block that stays in shared memory
BLOCK = 1 << BLOCK_BITS
THREADS = 16 if SIMULATED else 256  # a simulated thread is a thread of Python
PASS_STAGES = 3  # of a launch on global memory: eight residues of a thread, in registers
MODULUS, MONTGOMERY, ONE, HALF, DEGREE, DEGREE_QUOTIENT, RADIX, RADIX_QUOTIENT = range(8)  # columns of `constants`
VALUE, QUOTIENT, HALF_DIVISOR = range(3)  # columns of other tables: a constant and its quotient; and p_d // 2
SOURCE, TARGET, PRIME = range(3)  # columns of tables of rows


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """A chain's tables on the device, uint64, its quotients shifted to 64 bits.

    Attributes:
        N: Ring degree.
        primes: All of them.
        constants: [primes, 8]: p, -1 / p modulo 2**64, floor(2**64 / p), p // 2, 1 / N and 2**52 with quotients.
        forward: [primes, N, 2], powers of the root with their quotients.
        inverse: The same.
        division: [primes, primes, 3]: at [d, j] 1 / p_d modulo p_j with its quotient, and p_d // 2 modulo p_j.
    """

    N: int
    primes: tuple[int, ...]
    constants: DeviceArray
    forward: DeviceArray
    inverse: DeviceArray
    division: DeviceArray


@cache
def device_tables(chain: Chain) -> DeviceTables:
    """Copy a chain's tables to the device.

    Raises:
        ValueError: The ring is smaller than a block.
    """
    if chain.N < BLOCK:
        raise ValueError(f"`chain.N` must be at least {BLOCK}, got {chain.N}")
    constants = chain.tables.constants
    degrees, radices = columns(constants, "degree"), columns(constants, "radix")
    rows = [
        (p, -pow(p, -1, 1 << 64) % (1 << 64), (1 << 64) // p, p // 2, *shifted(degree), *shifted(radix))
        for p, degree, radix in zip(chain.primes, degrees, radices, strict=True)
    ]
    tables = [roots(chain.N, p) for p in chain.primes]
    forward, inverse = (
        cuda.to_device(shifted(np.array([np.stack(pair, axis=-1) for pair in pairs])))
        for pairs in (
            [(table.forward, table.forward_quotients) for table in tables],
            [(table.inverse, table.inverse_quotients) for table in tables],
        )
    )
    return DeviceTables(
        chain.N,
        chain.primes,
        cuda.to_device(np.array(rows, np.uint64)),
        forward,
        inverse,
        cuda.to_device(shifted(columns(chain.tables.pairs, "inverse", "half"))),
    )


def columns(constants: np.ndarray, name: str, *others: str) -> np.ndarray:
    """A constant of records with its quotient, and other fields, as int64 [..., 2 or more]."""
    return np.stack([constants[field] for field in (name, f"{name}_quotient", *others)], axis=-1)


def shifted(constants: np.ndarray) -> np.ndarray:
    """Numbers with their quotients [..., 2 or more]: the quotients made 64 bits long, as uint64."""
    result = np.array(constants, np.uint64)
    result[..., 1] <<= np.uint64(12)
    return result


@cache
def places(rows: tuple[tuple[int, ...], ...]) -> DeviceArray:
    """A table of rows on the device, int64; see `forward`."""
    return cuda.to_device(np.array(rows, np.int64))


@cuda.jit(device=True, inline="always")
def _forward_stages(v, count, roots, prime, k, p):  # type: ignore[no-untyped-def]
    """``count`` stages on 2**count residues below 4 p that are all of what node k of the tree of blocks has here."""
    two = p + p
    for stage in range(count):
        half = 1 << (count - 1 - stage)
        for i in range(1 << (count - 1)):
            block = i >> (count - 1 - stage)
            a, node = i + block * half, (k << stage) + block
            x, y = below(v[a], two), times(v[a + half], roots[prime, node, VALUE], roots[prime, node, QUOTIENT], p)
            v[a], v[a + half] = x + y, x + (two - y)


@cuda.jit(device=True, inline="always")
def _inverse_stages(v, count, roots, prime, k, p):  # type: ignore[no-untyped-def]
    """The way back, on residues below 2 p."""
    two = p + p
    for step in range(count):
        stage, half = count - 1 - step, 1 << step
        for i in range(1 << (count - 1)):
            block = i >> step
            a, node = i + block * half, (k << stage) + block
            x, y = v[a], v[a + half]
            v[a] = below(x + y, two)
            v[a + half] = times(x + (two - y), roots[prime, node, VALUE], roots[prime, node, QUOTIENT], p)


@cache
def forward_pass(count: int) -> Any:
    """The kernel of ``count`` stages on all blocks of 2**(bits + count) residues, in global memory."""
    size = 1 << count

    def forward_pass_kernel(x, out, rows, column, constants, roots, bits):  # type: ignore[no-untyped-def]
        t, n = cuda.grid(2)
        source, target, prime = rows[n, column], rows[n, TARGET], rows[n, PRIME]
        block = t >> bits
        first = (block << (bits + count)) + (t & ((1 << bits) - 1))
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = x[source, first + (i << bits)]
        k = (x.shape[1] >> (bits + count)) + block
        _forward_stages(v, count, roots, prime, k, constants[prime, MODULUS])
        for i in range(size):
            out[target, first + (i << bits)] = v[i]

    return forward_pass_kernel


@cache
def inverse_pass(count: int) -> Any:
    """The same for the inverse; results are below p."""
    size = 1 << count

    def inverse_pass_kernel(x, rows, constants, roots, bits):  # type: ignore[no-untyped-def]
        t, n = cuda.grid(2)
        row, prime = rows[n, TARGET], rows[n, PRIME]
        p = constants[prime, MODULUS]
        block = t >> bits
        first = (block << (bits + count)) + (t & ((1 << bits) - 1))
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = x[row, first + (i << bits)]
        _inverse_stages(v, count, roots, prime, (x.shape[1] >> (bits + count)) + block, p)
        for i in range(size):
            x[row, first + (i << bits)] = below(v[i], p)

    return inverse_pass_kernel


def forward_blocks_kernel(x, out, rows, column, constants, roots):  # type: ignore[no-untyped-def]
    """All stages of a block that are left, by a quarter as many threads as it has residues; results are below p."""
    t, block, n = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    source, target, prime = rows[n, column], rows[n, TARGET], rows[n, PRIME]
    p = constants[prime, MODULUS]
    near = cuda.shared.array(BLOCK, uint64)
    v = cuda.local.array(4, uint64)
    for i in range(4):
        v[i] = x[source, block * BLOCK + t + i * (BLOCK // 4)]
    k = cuda.gridDim.x + block
    _forward_stages(v, 2, roots, prime, k, p)
    for step in range(1, BLOCK_BITS // 2):
        before, bits = BLOCK_BITS - 2 * step, BLOCK_BITS - 2 * step - 2
        first = ((t >> before) << (before + 2)) + (t & ((1 << before) - 1))
        for i in range(4):
            near[first + (i << before)] = v[i]
        cuda.syncthreads()
        first = ((t >> bits) << (bits + 2)) + (t & ((1 << bits) - 1))
        for i in range(4):
            v[i] = near[first + (i << bits)]
        cuda.syncthreads()
        _forward_stages(v, 2, roots, prime, (k << (2 * step)) + (t >> bits), p)
    for i in range(4):
        out[target, block * BLOCK + 4 * t + i] = below(below(v[i], p + p), p)


def inverse_blocks_kernel(x, out, rows, constants, roots):  # type: ignore[no-untyped-def]
    """The inverse's stages within a block, after the division by N; results are below p."""
    t, block, n = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    source, target, prime = rows[n, SOURCE], rows[n, TARGET], rows[n, PRIME]
    p = constants[prime, MODULUS]
    near = cuda.shared.array(BLOCK, uint64)
    v = cuda.local.array(4, uint64)
    for i in range(4):
        v[i] = times(
            x[source, block * BLOCK + 4 * t + i], constants[prime, DEGREE], constants[prime, DEGREE_QUOTIENT], p
        )
    k = cuda.gridDim.x + block
    _inverse_stages(v, 2, roots, prime, (k << (BLOCK_BITS - 2)) + t, p)
    for step in range(1, BLOCK_BITS // 2):
        before, bits = 2 * step - 2, 2 * step
        first = ((t >> before) << (before + 2)) + (t & ((1 << before) - 1))
        for i in range(4):
            near[first + (i << before)] = v[i]
        cuda.syncthreads()
        first = ((t >> bits) << (bits + 2)) + (t & ((1 << bits) - 1))
        for i in range(4):
            v[i] = near[first + (i << bits)]
        cuda.syncthreads()
        _inverse_stages(v, 2, roots, prime, (k << (BLOCK_BITS - bits - 2)) + (t >> bits), p)
    for i in range(4):
        out[target, block * BLOCK + t + i * (BLOCK // 4)] = below(v[i], p)


def forward(tables: DeviceTables, x: DeviceArray, out: DeviceArray, rows: DeviceArray) -> None:
    """Transform rows of uint64 [.., N] to rows of ``out``, which may be x; from below 4 p to below p.

    Args:
        tables: Of the primes.
        x: Where rows come from.
        out: Where they go.
        rows: int64 [rows, 3], at most 65535: the source, the target, and the prime's index; see `places`.
    """
    x, out, column = _flat(x, tables.N), _flat(out, tables.N), 0
    for bits, count in passes(tables.N):
        launch(forward_pass(count), (tables.N >> count, len(rows)), x, out, rows, column, tables.constants,
               tables.forward, bits)  # fmt: skip
        x, column = out, 1  # from now on in place
    grid = tables.N // BLOCK, len(rows)
    compiled(forward_blocks_kernel)[grid, BLOCK // 4](x, out, rows, column, tables.constants, tables.forward)


def inverse(tables: DeviceTables, x: DeviceArray, out: DeviceArray, rows: DeviceArray) -> None:
    """The inverse transform, from below 2 p to below p; arguments as for `forward`."""
    x, out = _flat(x, tables.N), _flat(out, tables.N)
    grid = tables.N // BLOCK, len(rows)
    compiled(inverse_blocks_kernel)[grid, BLOCK // 4](x, out, rows, tables.constants, tables.inverse)
    for bits, count in reversed([*passes(tables.N)]):
        launch(inverse_pass(count), (tables.N >> count, len(rows)), out, rows, tables.constants, tables.inverse, bits)


def in_place(rows: Iterable[tuple[int, int]]) -> DeviceArray:
    """The table for (row, prime's index): sources are targets."""
    return places(tuple((row, row, prime) for row, prime in rows))


def passes(N: int) -> Iterator[tuple[int, int]]:
    """For every launch on global memory, the bits that a block has after it, and its number of stages."""
    bits = N.bit_length() - 1
    while bits > BLOCK_BITS:
        count = min(PASS_STAGES, bits - BLOCK_BITS)
        bits -= count
        yield bits, count


@cache
def compiled(kernel: Any) -> Any:
    """A kernel, compiled when it is first launched."""
    return cuda.jit(kernel)


def launch(kernel: Any, shape: tuple[int, ...], *arguments: Any) -> None:
    """Start a kernel with one thread for every index; the first size is a power of two, as others may be any."""
    threads = min(THREADS, shape[0])
    compiled(kernel)[(shape[0] // threads, *shape[1:]), threads](*arguments)


def _flat(x: DeviceArray, N: int) -> DeviceArray:
    return x.reshape(x.size // N, N)
