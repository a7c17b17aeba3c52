"""The negacyclic transforms of `transform` on a GPU, of any number of rows of one memory at once.

A transform is two passes over global memory at most, for N up to 65536. The first does up to six stages: a block of
threads takes neighbouring columns of a row that is seen as a matrix, whose rows are what the stages combine. The second
does all stages of blocks of 512 neighbouring residues, or of 1024 where that is one pass or must be. Between two steps
of stages, which are done in registers, both exchange residues in shared memory. The inverse goes the other way.

What would be passes of their own is done on the way. The forward transform can take its input from another prime, which
mod-up of a digit is, and put (x - y) w in place of its result y, which ends a division. The inverse multiplies with any
constant in place of 1 / N.

Rows are named by a table, so that one launch takes those of several polynomials and primes. Neighbouring threads read
neighbouring words: at least 128 bytes in the first pass, whose blocks are 16 columns wide for six stages. In shared
memory a half-warp's sixteen words lie in sixteen banks: columns do so by themselves, and in blocks, whose steps take
words 1, 4, 8, 16 or more apart, an empty word after every sixteen sees to it (`place`), with the choice of a thread's
groups (`group_of`). A thread waits for others between writing and reading alone: what it writes next goes where it has
read last, and nobody else has.

Primes have 50 bits and words 64. So residues are not reduced between stages: they grow by less than 4 p in a stage of
the forward transform, and to twice as much in one of the inverse, and are reduced where they are written to go on, or
at the end. What arithmetic is on a GPU, addresses are too: a thread names its words by one address and constants.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from numba import cuda, uint64

from he.kernels.cuda.columns import FACTOR, MINUEND, ORIGIN, PRIME, SCALE, SOURCE, TARGET
from he.kernels.cuda.tables import HALF, MODULUS, ONE, DeviceArray, DeviceTables
from he.kernels.cuda.words import below, lazy_times, pair_at, times
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import Launch, bound

#: Of a block of residues, by its bits, the stages of each step. The small block takes one step less, and is the usual.
STEPS = {5: (2, 2, 1, 0), 6: (2, 2, 1, 1)} if SIMULATED else {9: (3, 3, 3, 0), 10: (3, 3, 2, 2)}
SMALL, LARGE = STEPS
FEW = max(STEPS[SMALL])
RESIDUES = 1 << FEW  # of a thread, in registers
THREADS = 16 if SIMULATED else 256  # of a block; a simulated thread is a thread of Python
STEP = 3  # stages of a step of the first pass: eight residues of a thread, in registers
PASS_STAGES = 2 * STEP
PASS_THREADS = 8 if SIMULATED else 128  # of a block of a first pass with two steps
NOTHING = (1 << 64) - 1  # where a column names no row or prime: `columns.NONE` as a word


@cuda.jit(device=True, inline="always")
def place(i):  # type: ignore[no-untyped-def]
    """Find the place of a word in shared memory: of sixteen that a half-warp takes at once, no two share a bank."""
    return i + (i >> 4)


@cuda.jit(device=True, inline="always")
def lifted(value, origin, prime, constants, halves):  # type: ignore[no-untyped-def]
    """Take a residue modulo one prime, centred, to another prime; the result is below the sum of both."""
    moved = below(value + constants[origin, HALF], constants[origin, MODULUS])
    return moved + (constants[prime, MODULUS] - halves[origin, prime])


@cuda.jit(device=True, inline="always")
def _forward_stages(v, count, groups, roots, base, k, spread, p):  # type: ignore[no-untyped-def]
    """``count`` stages on groups of 2**count residues each; each makes them larger by less than 4 p.

    A group is all of what a node of the tree of blocks has here: the first is node k's, and the next one's is
    ``spread`` further.
    """
    four = p << uint64(2)
    for stage in range(count):
        half = 1 << (count - 1 - stage)
        for i in range(groups << (count - 1)):
            g, block = i >> (count - 1), i >> (count - 1 - stage) & ((1 << stage) - 1)
            a = (g << count) + 2 * half * block + (i & (half - 1))
            w, quotient = pair_at(roots, base + uint64((k + g * spread << stage) + block))
            x, y = v[a], lazy_times(v[a + half], w, quotient, p)
            v[a], v[a + half] = x + y, x + (four - y)


@cuda.jit(device=True, inline="always")
def _inverse_stages(v, count, groups, done, roots, base, k, spread, p):  # type: ignore[no-untyped-def]
    """``count`` stages of the inverse, on residues below 2**(2 + done) p; each makes them twice as large at most."""
    for step in range(count):
        stage, half = count - 1 - step, 1 << step
        limit = p << uint64(2 + done + step)
        for i in range(groups << (count - 1)):
            g, block = i >> (count - 1), i >> step & ((1 << stage) - 1)
            a = (g << count) + 2 * half * block + (i & (half - 1))
            w, quotient = pair_at(roots, base + uint64((k + g * spread << stage) + block))
            x, y = v[a], v[a + half]
            v[a], v[a + half] = x + y, lazy_times(x + (limit - y), w, quotient, p)


def pass_shape(count: int) -> tuple[int, int]:
    """Say how many threads a block of a first pass has, and how many columns."""
    threads = THREADS if count <= STEP else PASS_THREADS
    return threads, threads >> max(count - STEP, 0)


@cache
def forward_pass(count: int, bits: int) -> Any:
    """Make the kernel of the first ``count`` stages, which leave blocks of 2**bits residues."""
    first, second = min(count, STEP), max(count - STEP, 0)
    size, groups = 1 << first, 1 << (first - second)
    threads, columns = pass_shape(count)
    apart, held = 1 << second, size * threads if second else 1  # rows between a thread's residues at first

    def forward_pass_kernel(memory, table, constants, roots, halves):  # type: ignore[no-untyped-def]
        n = cuda.blockIdx.y
        prime, origin = table[n, PRIME], table[n, ORIGIN]
        source, target, p = table[n, SOURCE], table[n, TARGET], constants[prime, MODULUS]
        base = prime * uint64(roots.shape[1])
        c, r = cuda.threadIdx.x & (columns - 1), cuda.threadIdx.x // columns
        at = cuda.blockIdx.x * columns + c + (r << bits)
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = memory[source, uint64(at + (i * apart << bits))]
        if origin != NOTHING:
            for i in range(size):
                v[i] = lifted(v[i], origin, prime, constants, halves)
        _forward_stages(v, first, 1, roots, base, 1, 0, p)
        if second > 0:
            near = cuda.shared.array(held, uint64)
            for i in range(size):
                near[uint64(cuda.threadIdx.x + i * apart * columns)] = v[i]
            cuda.syncthreads()
            for i in range(size):
                v[i] = near[uint64((r * size + i) * columns + c)]
            _forward_stages(v, second, groups, roots, base, size + r * groups, 1, p)
        at += r * (size - 1) << bits
        for i in range(size):
            memory[target, uint64(at + (i << bits))] = v[i]

    return forward_pass_kernel


@cache
def inverse_pass(count: int, bits: int) -> Any:
    """Make the kernel of the inverse's last ``count`` stages, on blocks of 2**bits residues; results are below p."""
    first, second = min(count, STEP), max(count - STEP, 0)
    size, groups = 1 << first, 1 << (first - second)
    threads, columns = pass_shape(count)
    apart, held = 1 << second, size * threads if second else 1

    def inverse_pass_kernel(memory, table, constants, roots):  # type: ignore[no-untyped-def]
        n = cuda.blockIdx.y
        row, prime = table[n, TARGET], table[n, PRIME]
        p, one = constants[prime, MODULUS], constants[prime, ONE]
        base = prime * uint64(roots.shape[1])
        c, r = cuda.threadIdx.x & (columns - 1), cuda.threadIdx.x // columns
        at = cuda.blockIdx.x * columns + c + (r << bits)
        v = cuda.local.array(size, uint64)
        for i in range(size):
            v[i] = memory[row, uint64(at + (r * (size - 1) + i << bits))]
        if second > 0:
            near = cuda.shared.array(held, uint64)
            _inverse_stages(v, second, groups, 0, roots, base, size + r * groups, 1, p)
            for i in range(size):
                near[uint64((r * size + i) * columns + c)] = v[i]
            cuda.syncthreads()
            for i in range(size):
                v[i] = near[uint64(cuda.threadIdx.x + i * apart * columns)]
        _inverse_stages(v, first, 1, second, roots, base, 1, 0, p)
        for i in range(size):
            memory[row, uint64(at + (i * apart << bits))] = below(times(v[i], uint64(1), one, p), p)

    return inverse_pass_kernel


@cuda.jit(device=True, inline="always")
def group_of(g, bits, done, stages):  # type: ignore[no-untyped-def]
    """Find where group g of a step is, in a block of 2**bits residues of which so many stages are done.

    It is given by its part of the block, and by the first of its 2**stages residues.
    """
    apart = bits - done - stages  # neighbours in a group are 2**apart residues apart
    if apart >= 3:
        part, r = g >> apart, g & ((1 << apart) - 1)
        if apart == 3:  # a half-warp has two parts, which share no banks if they are no neighbours
            part ^= 3 * ((part ^ part >> 1) & 1)  # so its two lowest bits change places
    else:
        part, r = g & ((1 << done) - 1), g >> done
    return part, (part << (apart + stages)) + r


@cuda.jit(device=True, inline="always")
def place_of(t, i, bits, done, stages):  # type: ignore[no-untyped-def]
    """Find the place of a thread's i-th residue in a step: a sum of what depends on the thread, and of a constant."""
    further = group_of((i >> stages) << (bits - FEW), bits, done, stages)[1]
    further += (i & ((1 << stages) - 1)) << (bits - done - stages)
    return place(group_of(t, bits, done, stages)[1]) + place(further)


@cuda.jit(device=True, inline="always")
def _give(v, near, t, bits, done, stages):  # type: ignore[no-untyped-def]
    """Write residues to shared memory from where a step has left them."""
    for i in range(RESIDUES):
        near[uint64(place_of(t, i, bits, done, stages))] = v[i]


@cuda.jit(device=True, inline="always")
def _take(v, near, t, bits, done, stages):  # type: ignore[no-untyped-def]
    """Read residues from shared memory to where a step takes them."""
    for i in range(RESIDUES):
        v[i] = near[uint64(place_of(t, i, bits, done, stages))]


@cuda.jit(device=True, inline="always")
def _exchange(v, near, t, bits, before, after):  # type: ignore[no-untyped-def]
    """Bring residues from where one step leaves them to where another takes them: stages done, and the step's own."""
    _give(v, near, t, bits, before[0], before[1])
    cuda.syncthreads()
    _take(v, near, t, bits, after[0], after[1])


@cuda.jit(device=True, inline="always")
def _forward_step(v, t, bits, done, stages, roots, base, k, p):  # type: ignore[no-untyped-def]
    """Do a step's stages, on the groups of one thread."""
    part, spread = group_of(t, bits, done, stages)[0], group_of(1 << (bits - FEW), bits, done, stages)[0]
    _forward_stages(v, stages, RESIDUES >> stages, roots, base, (k << done) + part, spread, p)


@cuda.jit(device=True, inline="always")
def _inverse_step(v, t, bits, done, stages, roots, base, k, p):  # type: ignore[no-untyped-def]
    """Do a step's stages of the inverse, on the groups of one thread."""
    part, spread = group_of(t, bits, done, stages)[0], group_of(1 << (bits - FEW), bits, done, stages)[0]
    before, k = bits - done - stages, (k << done) + part
    _inverse_stages(v, stages, RESIDUES >> stages, before, roots, base, k, spread, p)


def held(bits: int) -> int:
    """Say how many words of shared memory a block of 2**bits residues takes."""
    return (1 << bits) + (1 << (bits - 4))


@cache
def forward_blocks(bits: int) -> Any:
    """Make the kernel of all stages of a block of 2**bits residues; results are below p."""
    (a, b, c, d), words, threads = STEPS[bits], held(bits), 1 << (bits - FEW)
    last = d or c  # stages of the last step

    def forward_blocks_kernel(memory, table, scales, column, constants, roots, halves):  # type: ignore[no-untyped-def]
        # Residues come from the rows that `column` names; where it is `SOURCE`, they are of their origin's prime.
        t, n = cuda.threadIdx.x, cuda.blockIdx.y
        source, target, prime, origin = table[n, column], table[n, TARGET], table[n, PRIME], table[n, ORIGIN]
        minuend, p, one = table[n, MINUEND], constants[prime, MODULUS], constants[prime, ONE]
        base = prime * uint64(roots.shape[1])
        near, v = cuda.shared.array(words, uint64), cuda.local.array(RESIDUES, uint64)
        at, k = (cuda.blockIdx.x << bits) + t, cuda.gridDim.x + cuda.blockIdx.x
        for i in range(RESIDUES):
            v[i] = memory[source, uint64(at + i * threads)]
        if column == SOURCE and origin != NOTHING:
            for i in range(RESIDUES):
                v[i] = lifted(v[i], origin, prime, constants, halves)
        _forward_step(v, t, bits, 0, a, roots, base, k, p)
        _exchange(v, near, t, bits, (0, a), (a, b))
        _forward_step(v, t, bits, a, b, roots, base, k, p)
        _exchange(v, near, t, bits, (a, b), (a + b, c))
        _forward_step(v, t, bits, a + b, c, roots, base, k, p)
        if d > 0:
            _exchange(v, near, t, bits, (a + b, c), (a + b + c, d))
            _forward_step(v, t, bits, a + b + c, d, roots, base, k, p)
        _give(v, near, t, bits, bits - last, last)
        cuda.syncthreads()
        w, quotient, top = uint64(1), one, uint64(0)
        if minuend != NOTHING:
            w, quotient = pair_at(scales, table[n, FACTOR])
            top = (one >> uint64(1)) * p  # a multiple of p that exceeds every residue, and leaves room for another
        for i in range(RESIDUES):
            value = near[uint64(place(t) + place(i * threads))]
            if minuend != NOTHING:
                value = memory[minuend, uint64(at + i * threads)] + (top - value)
            memory[target, uint64(at + i * threads)] = below(times(value, w, quotient, p), p)

    return forward_blocks_kernel


@cache
def inverse_blocks(bits: int) -> Any:
    """Make the kernel of the inverse's stages within a block, after the product with a scale; results are below p."""
    (a, b, c, d), words, threads = STEPS[bits], held(bits), 1 << (bits - FEW)
    last = d or c  # stages of the last step

    def inverse_blocks_kernel(memory, table, scales, constants, roots):  # type: ignore[no-untyped-def]
        t, n = cuda.threadIdx.x, cuda.blockIdx.y
        source, target, prime = table[n, SOURCE], table[n, TARGET], table[n, PRIME]
        p, one, base = constants[prime, MODULUS], constants[prime, ONE], prime * uint64(roots.shape[1])
        w, quotient = pair_at(scales, table[n, SCALE])
        near, v = cuda.shared.array(words, uint64), cuda.local.array(RESIDUES, uint64)
        at, k = (cuda.blockIdx.x << bits) + t, cuda.gridDim.x + cuda.blockIdx.x
        for i in range(RESIDUES):
            value = memory[source, uint64(at + i * threads)]
            near[uint64(place(t) + place(i * threads))] = lazy_times(value, w, quotient, p)
        cuda.syncthreads()
        _take(v, near, t, bits, bits - last, last)
        if d > 0:
            _inverse_step(v, t, bits, a + b + c, d, roots, base, k, p)
            _exchange(v, near, t, bits, (a + b + c, d), (a + b, c))
        _inverse_step(v, t, bits, a + b, c, roots, base, k, p)
        _exchange(v, near, t, bits, (a + b, c), (a, b))
        _inverse_step(v, t, bits, a, b, roots, base, k, p)
        _exchange(v, near, t, bits, (a, b), (0, a))
        _inverse_step(v, t, bits, 0, a, roots, base, k, p)
        for i in range(RESIDUES):
            memory[target, uint64(at + i * threads)] = below(times(v[i], uint64(1), one, p), p)

    return inverse_blocks_kernel


def forward(tables: DeviceTables, memory: DeviceArray, table: DeviceArray, scales: DeviceArray) -> list[Launch]:
    """Transform rows of uint64 [rows, N], below 4 p, to rows below p.

    Args:
        tables: The tables of the primes.
        memory: The rows.
        table: uint64 [n, 6], at most 65535 rows: the source, the target, and the index of the prime. Then the index of
            the prime that the source's residues, below it, are centred and taken from; or `NOTHING`. Then the row x and
            the scale w of (x - y) w, which is written in place of the transform y; or `NOTHING` and anything.
        scales: uint64 [scales, 2], what `he.kernels.cuda.tables.with_quotients` returns.

    Returns:
        What launches it, in order.
    """
    launches, column, bits = [], SOURCE, block_bits(tables.N)
    read = tables.constants, tables.forward, tables.halves
    for count in passes(tables.N):
        launches.append(_pass(forward_pass(count, bits), tables.N, count, len(table), (memory, table, *read)))
        column = TARGET
    arguments = memory, table, scales, column, *read
    return [*launches, bound(forward_blocks(bits), (tables.N >> bits, len(table)), 1 << (bits - FEW), *arguments)]


def inverse(tables: DeviceTables, memory: DeviceArray, table: DeviceArray, scales: DeviceArray) -> list[Launch]:
    """Transform rows of uint64 [rows, N], below 2 p, back to rows below p, times a constant.

    Args:
        tables: The tables of the primes.
        memory: The rows.
        table: uint64 [n, 4], at most 65535 rows: the source, the target, the index of the prime, and that of the scale.
        scales: uint64 [scales, 2], as above, of 1 / N, or of others in its place.

    Returns:
        What launches it, in order.
    """
    bits, read = block_bits(tables.N), (tables.constants, tables.inverse)
    grid = tables.N >> bits, len(table)
    launches = [bound(inverse_blocks(bits), grid, 1 << (bits - FEW), memory, table, scales, *read)]
    for count in passes(tables.N):
        launches.append(_pass(inverse_pass(count, bits), tables.N, count, len(table), (memory, table, *read)))
    return launches


def _pass(kernel: Any, N: int, count: int, lines: int, arguments: tuple[Any, ...]) -> Launch:
    threads, columns = pass_shape(count)
    return bound(kernel, ((N >> count) // columns, lines), threads, *arguments)


def block_bits(N: int) -> int:
    """Return the bits of the blocks of a ring: those of large ones where that saves a pass, and where it must be.

    Raises:
        ValueError: The ring is too large for two passes.
    """
    bits, most = N.bit_length() - 1, LARGE + PASS_STAGES
    if bits > most:
        raise ValueError(f"`N` must be at most {1 << most}, got {N}")
    return LARGE if bits in (LARGE, most) else SMALL


def passes(N: int) -> Iterator[int]:
    """Give the number of stages of a first pass; nothing where the blocks' is enough.

    Raises:
        ValueError: As `block_bits`.
    """
    count = N.bit_length() - 1 - block_bits(N)
    if count > 0:
        yield count
