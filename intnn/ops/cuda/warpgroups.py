"""Products of matrices of bytes by groups of four warps (`wgmma`), which GPUs of compute capability 9.0 have.

`mma.sync` (`intnn.ops.cuda.gemm`) has warps copy operands to shared memory, and from there to registers. Here tensor
cores read shared memory themselves, and the GPU's copying unit fills it, told by one thread of each block.

    x  int8 or uint8 [rows, K] as a map (`tensor_map`)
    w  int8 or uint8 [columns, K] likewise; lines in the order of `lines` if the result is bytes
    y  int32 [rows, width of y] sums, or words [rows, width of y / 4], flat

Shared memory holds lines of 128 bytes, a line for every row of the block and for every column, in the order that the
tensor cores and the copying unit know as "128-byte swizzling". The PTX ISA describes it in "Matrix Descriptor",
"Register Fragments and Shared Memory Matrix Layouts" and "Tensors".
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import cuda, int32, int64, uint64

from intnn.machine.cuda.intrinsics import (
    LINE_BLOCK,
    acquire_map,
    arrive,
    await_phase,
    copy_tile,
    expect_bytes,
    in_flight,
    init_barrier,
    settled,
    store2,
    warpgroup_mma,
)
from intnn.ops.cuda.gemm import Kernel, word_of

LINE = 128  # bytes of the common axis in a slice
GROUP_ROWS, GROUP_THREADS = 64, 128  # of a group of four warps
STRIP = 16  # blocks along the rows that are neighbours in time, so that they find each other's operands in the cache
SHARED_BYTES = 227 * 1024  # what a block may ask for
BARRIER = 2  # words


@dataclass(frozen=True)
class GroupTile:
    """How a block of the kernel divides its part of the result.

    Attributes:
        groups: The groups of four warps, each with 64 rows.
        columns: The columns of the result per block: 64, 128 or 256.
        stages: The slices of 128 bytes that are in shared memory or on their way; at least 3.

    Raises:
        ValueError: The stages do not fit in 227 KiB, or a size is another one.
    """

    groups: int = 2
    columns: int = 256
    stages: int = 4

    def __post_init__(self) -> None:
        if self.groups < 1 or self.columns not in (64, 128, 256) or self.stages < 3:
            raise ValueError(f"`tile` must have at least 3 stages, and 64, 128 or 256 columns, got {self}")
        if self.shared > SHARED_BYTES:
            raise ValueError(f"`tile` must fit in {SHARED_BYTES} bytes of shared memory, got {self}")

    @property
    def unit(self) -> str:
        """The instruction that multiplies."""
        return "wgmma"

    @property
    def rows(self) -> int:
        """The rows of the result per block."""
        return self.groups * GROUP_ROWS

    @property
    def threads(self) -> int:
        """The threads per block: those that multiply, and a last group of which one thread starts copies."""
        return (self.groups + 1) * GROUP_THREADS

    @property
    def shared(self) -> int:
        """The bytes of shared memory per block."""
        return self.stages * ((self.rows + self.columns) * LINE + 2 * 4 * BARRIER)

    def fitted(self, rows: int, columns: int, multiprocessors: int) -> "GroupTile":
        """The tile with as many columns as leave a part of the result for every multiprocessor; 64 where none does."""
        widths = (width for width in (256, 128) if width <= self.columns)
        enough = (width for width in widths if -(-rows // self.rows) * -(-columns // width) >= multiprocessors)
        return replace(self, columns=next(enough, 64))

    def grid(self, rows: int, columns: int, multiprocessors: int) -> int:
        """How many blocks are launched: one for every part of the result, or for every multiprocessor."""
        return min(-(-rows // self.rows) * -(-columns // self.columns), multiprocessors)


def lines(columns: int) -> np.ndarray:
    """The columns in the order of a result of bytes, each of so many lines; those beyond ``columns`` are there too.

    Tensor cores give a thread lines 2 t and 2 t + 1 of every eight, with t its number modulo 4. In this order they are
    16 contiguous columns of every 64, which are four words.
    """
    n = np.arange(-(-columns // 64) * 64)
    return n // 64 * 64 + n // 2 % 4 * 16 + n // 8 % 8 * 2 + n % 2


def warpgroup_kernel(tile: GroupTile, x_type: str, w_type: str, fused: bool) -> Kernel:
    """The kernel of the product by groups of warps.

    A block goes from one part of the result to the next, and while its results are written the first slices of the next
    part are on their way.

    Args:
        tile: How a block divides its part of the result.
        x_type: The type of the integers in ``x``, "s8" or "u8".
        w_type: The type of the integers in ``w``, "s8" or "u8".
        fused: Whether ``y`` holds bytes after requantisation and table, or int32 sums.
    """
    multiply, finished, one_behind = warpgroup_mma(tile.columns, x_type, w_type), settled(tile.columns), in_flight(1)
    stages, groups = tile.stages, tile.groups
    block_rows, block_columns, line_words = tile.rows, tile.columns, LINE // 4
    slice_words = (block_rows + block_columns) * line_words
    full, empty = stages * slice_words, stages * (slice_words + BARRIER)  # where barriers are
    sums, eights, strips = tile.columns // 2, tile.columns // 8, tile.columns // 64
    copy_rows, copy_columns = copy_tile(block_rows), copy_tile(block_columns)

    @cuda.jit(device=True, inline="always")
    def place(part, tall, wide):  # type: ignore[no-untyped-def]
        """The first row and column of a part of the result: a strip goes along the columns before the next begins."""
        strip = int32(part // (STRIP * wide))
        height = int32(min(tall - strip * STRIP, STRIP))
        within = int32(part - strip * STRIP * wide)
        return int32((strip * STRIP + within % height) * block_rows), int32(within // height * block_columns)

    def kernel(x, w, y, bias, multiplier, table, sizes, requantise):  # type: ignore[no-untyped-def]
        rows, columns, depth = int32(sizes[0]), int32(sizes[1]), int32(sizes[2])  # half as many registers
        shared = cuda.shared.array(0, int32, alignment=LINE_BLOCK)
        thread = int32(cuda.threadIdx.x)
        lane, warp = thread & 31, thread >> 5
        slices = int32((depth + LINE - 1) // LINE)
        tall = int32((rows + block_rows - 1) // block_rows)
        wide = int32((columns + block_columns - 1) // block_columns)
        parts = int32(tall * wide)
        first, every = int32(cuda.blockIdx.x), int32(cuda.gridDim.x)

        if thread == 0:
            for stage in range(stages):
                init_barrier(shared, full + stage * BARRIER, 1)
                init_barrier(shared, empty + stage * BARRIER, groups * 4)
        cuda.syncthreads()

        if thread == groups * GROUP_THREADS:  # starts copies
            acquire_map(x)
            acquire_map(w)
            count = int32(0)  # slices that have been copied
            for part in range(first, parts, every):
                row0, column0 = place(part, tall, wide)
                for number in range(slices):
                    stage, turn = int32(count % stages), int32(count // stages)
                    barrier = full + stage * BARRIER
                    if turn > 0:
                        await_phase(shared, empty + stage * BARRIER, (turn - 1) & 1)
                    expect_bytes(shared, barrier, (block_rows + block_columns) * LINE)
                    to = stage * slice_words
                    copy_rows(shared, to, x, number * LINE, row0, barrier)
                    copy_columns(shared, to + block_rows * line_words, w, number * LINE, column0, barrier)
                    count = int32(count + 1)
        elif warp < groups * 4:
            total = cuda.local.array(sums, int32)
            count = int32(0)
            for part in range(first, parts, every):
                row0, column0 = place(part, tall, wide)
                for number in range(slices):
                    stage = int32(count % stages)
                    await_phase(shared, full + stage * BARRIER, count // stages & 1)
                    a = stage * slice_words + warp // 4 * 64 * line_words
                    multiply(total, shared, a, stage * slice_words + block_rows * line_words, int32(number > 0))
                    one_behind()
                    if number > 0 and lane == 0:
                        arrive(shared, empty + (count - 1) % stages * BARRIER)
                    count = int32(count + 1)
                finished(total)
                if lane == 0:
                    arrive(shared, empty + (count - 1) % stages * BARRIER)

                y_width = int32((columns + 15) // 16 * 16)
                if fused:
                    line16 = cuda.local.array(16, int32)
                    column = int32(column0 + (lane & 3) * 16)
                    for quarter in range(strips):
                        for half in range(2):
                            for j in range(8):
                                line16[2 * j] = total[(quarter * 8 + j) * 4 + 2 * half]
                                line16[2 * j + 1] = total[(quarter * 8 + j) * 4 + 2 * half + 1]
                            row = int32(row0 + warp * 16 + half * 8 + (lane >> 2))
                            start = int32(column + quarter * 64)
                            # The length of this loop is unknown to the compiler: see `tensor_kernel`.
                            for at in range(start, min(start + 16, y_width) if row < rows else start, 4):
                                near = uint64(at)
                                four = (
                                    line16[at - start] + bias[near],
                                    line16[at - start + 1] + bias[near + uint64(1)],
                                    line16[at - start + 2] + bias[near + uint64(2)],
                                    line16[at - start + 3] + bias[near + uint64(3)],
                                )
                                word = word_of(four, multiplier, table, at, requantise)
                                y[(int64(row) * y_width + at) >> 2] = word
                else:
                    for j in range(eights):
                        at = int32(column0 + j * 8 + (lane & 3) * 2)
                        if at < y_width:
                            b0, b1 = bias[at], bias[at + 1]
                            for half in range(2):
                                row = int32(row0 + warp * 16 + half * 8 + (lane >> 2))
                                if row < rows:
                                    two = total[4 * j + 2 * half] + b0, total[4 * j + 2 * half + 1] + b1
                                    store2(y, int64(row) * y_width + at, two)

    return kernel
