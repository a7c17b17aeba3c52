"""One compiled call for a whole network: the program's stages, over blocks of rows that stay in the cache."""

from functools import partial

import numba
import numpy as np

from intnn.compiled import words as stage
from intnn.compiled.tile import tile
from intnn.machine.jit import compiled
from intnn.machine.memory import STACK_BYTES, pointer, stack_address, unsigned_bytes
from intnn.values.arrays import Array, IntArray

# Globals, not closures: only so does Numba's cache on disk find them again.
rows_by_1, rows_by_2, rows_by_4 = (tile(columns, single=False) for columns in (1, 2, 4))
row_by_1, row_by_2, row_by_4 = (tile(columns, single=True) for columns in (1, 2, 4))


@compiled
def run(program: IntArray, x: Array, y: Array) -> None:
    """Evaluate a batch.

    Args:
        program: What `intnn.compiled.program` wrote; see `intnn.compiled.words`.
        x: Integers [batch, size] of the input's domain, C-contiguous.
        y: Integers [batch, classes], written.
    """
    block = min(program[stage.BLOCK], len(x))
    size = block * program[stage.BUFFER_BYTES]
    # The tiles may read, never write, some bytes behind the last row.
    needed = 2 * size + 256
    # For one small input, asking for memory would take a tenth of the call.
    memory = unsigned_bytes(stack_address(), STACK_BYTES) if needed <= STACK_BYTES else np.empty(needed, np.uint8)
    run_in(program, x, y, memory, block, size)


@compiled
def run_in(program: IntArray, x: Array, y: Array, memory: Array, block: int, size: int) -> None:
    """`run` in memory for two times ``size`` bytes of activations: of ``block`` rows at a time."""
    here = program.ctypes.data
    skip = -memory.ctypes.data % 64
    starts = (skip, skip + size + 64)
    stages, lanes = program[stage.STAGES], program[stage.LANES]
    enters = not (program[stage.INPUT_AS_IT_IS] and x.itemsize == 1)
    leaves = not (program[stage.OUTPUT_AS_IT_IS] and y.itemsize == 1)
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        source = x.ctypes.data + first * x.shape[1]
        if enters:
            source = memory.ctypes.data + starts[0]
            enter(program, x, first, rows, memory, starts[0])
        for s in range(stages):
            words = stage.HEADER_WORDS + s * stage.STAGE_WORDS
            start = starts[(s + 1) % 2]
            target = memory.ctypes.data + start
            if s == stages - 1 and not leaves:
                target = y.ctypes.data + first * y.shape[1]
            if program[words + stage.FILL] != stage.NONE:
                memory[start : start + rows * program[words + stage.OUT_BYTES]] = program[words + stage.FILL]
            evaluate(program, here, words, lanes, source, target, rows)
            source = target
        if leaves:
            leave(program, memory, starts[stages % 2], y, first, rows)


# One vector by addresses, without letting go of Python's lock: both would take longer than a part of a small network.


@partial(compiled, nogil=False)
def run_unsigned_at(program: int, size: int, x: int, width: int, y: int, classes: int) -> None:
    """`run` on one row of uint8."""
    words = numba.carray(pointer(program), size, np.int64)
    row = numba.carray(pointer(x), (1, width), np.uint8)
    run(words, row, numba.carray(pointer(y), (1, classes), np.int64))


@partial(compiled, nogil=False)
def run_signed_at(program: int, size: int, x: int, width: int, y: int, classes: int) -> None:
    """`run` on one row of int8."""
    words = numba.carray(pointer(program), size, np.int64)
    row = numba.carray(pointer(x), (1, width), np.int8)
    run(words, row, numba.carray(pointer(y), (1, classes), np.int64))


@compiled
def enter(program: IntArray, x: Array, first: int, rows: int, memory: Array, start: int) -> None:
    """Bring inputs to unsigned bytes at the first stage's places."""
    size, stride = program[stage.INPUT_SIZE], program[stage.INPUT_BYTES]
    offset, fill, places = program[stage.INPUT_OFFSET], program[stage.INPUT_FILL], program[stage.INPUT_PLACES]
    if fill != stage.NONE:
        memory[start : start + rows * stride] = fill
    order = program[places // 8 : places // 8 + size]
    for n in range(rows):
        image, row = x[first + n], memory[start + n * stride : start + (n + 1) * stride]
        if places == stage.NONE:
            for i in range(size):
                row[i] = np.uint8(image[i] - offset)
        else:
            for i in range(size):
                row[order[i]] = np.uint8(image[i] - offset)


@compiled
def leave(program: IntArray, memory: Array, start: int, y: Array, first: int, rows: int) -> None:
    """Bring the last stage's outputs to the caller's order and type."""
    kind = program[stage.OUTPUT_KIND]
    words = stage.HEADER_WORDS + (program[stage.STAGES] - 1) * stage.STAGE_WORDS
    stride = program[words + stage.OUT_BYTES]
    content = memory[start : start + rows * stride]
    if kind == stage.SUMS:
        gather(program, content.view(np.int32), stride // 4, y, first)
    elif kind == stage.SIGNED_BYTES:
        gather(program, content.view(np.int8), stride, y, first)
    else:
        gather(program, content, stride, y, first)


@compiled
def gather(program: IntArray, content: Array, stride: int, y: Array, first: int) -> None:
    """y[first + n, i] = content[n * stride + places[i]] + offset."""
    size, offset = program[stage.OUTPUT_SIZE], program[stage.OUTPUT_OFFSET]
    places = program[stage.OUTPUT_PLACES] // 8
    order = program[places : places + size]
    for n in range(len(content) // stride):
        for i in range(size):
            y[first + n, i] = content[n * stride + order[i]] + offset


@compiled
def evaluate(program: IntArray, here: int, words: int, lanes: int, x: int, y: int, images: int) -> None:
    """One stage: tiles of rows inside strips of channels inside units."""
    is_image = program[words + stage.UNITS]
    length = program[words + stage.LENGTH] if is_image else images
    columns, height = program[words + stage.COLUMNS], program[words + stage.ROWS]
    strips, groups = program[words + stage.STRIPS], program[words + stage.GROUPS]
    places = here + program[words + stage.PLACES]
    width = columns * lanes
    item = 4 if program[words + stage.RESCALE] == stage.RAW else 1
    stage_address = here + 8 * words
    for unit in range(images if is_image else 1):
        source = x + unit * program[words + stage.IN_BYTES]
        target = y + unit * program[words + stage.OUT_BYTES]
        for strip in range(strips):
            output = target + strip * width * item
            weights = here + program[words + stage.WEIGHTS] + strip * groups * width * 4
            channels = here + program[words + stage.CHANNELS] + strip * width * 16
            valid = program[words + stage.VALID] if strip == strips - 1 else width
            if length >= height:
                for start in range(0, length, height):
                    # The last tile may overlap the one before: the same sums, twice.
                    place = places + 8 * min(start, length - height)
                    if columns == 4:
                        rows_by_4(source, output, place, stage_address, here, weights, channels, valid)
                    elif columns == 2:
                        rows_by_2(source, output, place, stage_address, here, weights, channels, valid)
                    else:
                        rows_by_1(source, output, place, stage_address, here, weights, channels, valid)
            else:
                for start in range(length):
                    place = places + 8 * start
                    if columns == 4:
                        row_by_4(source, output, place, stage_address, here, weights, channels, valid)
                    elif columns == 2:
                        row_by_2(source, output, place, stage_address, here, weights, channels, valid)
                    else:
                        row_by_1(source, output, place, stage_address, here, weights, channels, valid)
