"""One compiled call for a whole network: the fused layers, one after the other, over blocks of rows.

A block is as large as the second-level cache allows. `intnn.compiled.words` says what the instructions hold.
"""

from functools import partial

import numba
import numpy as np

from intnn.compiled import words as at
from intnn.compiled.tile import tile
from intnn.machine.jit import compiled
from intnn.machine.memory import STACK_BYTES, pointer, stack_address, unsigned_bytes
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
rows_by_1, rows_by_2, rows_by_4 = (tile(columns, single=False) for columns in (1, 2, 4))
row_by_1, row_by_2, row_by_4 = (tile(columns, single=True) for columns in (1, 2, 4))


@compiled
def run(instructions: IntArray, x: Array, y: Array) -> None:
    """Evaluate a batch.

    Args:
        instructions: The words that `intnn.compiled.instructions` wrote.
        x: Integers [batch, size] of the input's domain, C-contiguous.
        y: Integers [batch, classes]; the kernel writes the outputs here.
    """
    block = min(instructions[at.BLOCK], len(x))
    size = block * instructions[at.BUFFER_BYTES]
    # The tiles may read, never write, some bytes behind the last row.
    needed = 2 * size + 256
    # For one small input, asking for memory would take a tenth of the call.
    memory = unsigned_bytes(stack_address(), STACK_BYTES) if needed <= STACK_BYTES else np.empty(needed, np.uint8)
    run_in(instructions, x, y, memory, block, size)


@compiled
def run_in(instructions: IntArray, x: Array, y: Array, memory: Array, block: int, size: int) -> None:
    """`run`, given memory for two buffers of ``size`` bytes, each with the activations of ``block`` rows."""
    here = instructions.ctypes.data
    skip = -memory.ctypes.data % 64
    starts = (skip, skip + size + 64)
    layers, lanes = instructions[at.LAYERS], instructions[at.LANES]
    converts_inputs = not (instructions[at.INPUT_AS_IT_IS] and x.itemsize == 1)
    converts_outputs = not (instructions[at.OUTPUT_AS_IT_IS] and y.itemsize == 1)
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        source = x.ctypes.data + first * x.shape[1]
        if converts_inputs:
            source = memory.ctypes.data + starts[0]
            read_inputs(instructions, x, first, rows, memory, starts[0])
        for i in range(layers):
            layer = at.HEADER_WORDS + i * at.LAYER_WORDS
            start = starts[(i + 1) % 2]
            target = memory.ctypes.data + start
            if i == layers - 1 and not converts_outputs:
                target = y.ctypes.data + first * y.shape[1]
            if instructions[layer + at.FILL] != at.NONE:
                memory[start : start + rows * instructions[layer + at.OUT_BYTES]] = instructions[layer + at.FILL]
            evaluate(instructions, here, layer, lanes, source, target, rows)
            source = target
        if converts_outputs:
            write_outputs(instructions, memory, starts[layers % 2], y, first, rows)


# The next two evaluate one vector by addresses, and hold Python's lock meanwhile: to recognise arrays, and to let go of
# the lock, would each take longer than a part of a small network.


@partial(compiled, nogil=False)
def run_unsigned_at(instructions: int, size: int, x: int, width: int, y: int, classes: int) -> None:
    """`run` on one row of uint8."""
    words = numba.carray(pointer(instructions), size, np.int64)
    row = numba.carray(pointer(x), (1, width), np.uint8)
    run(words, row, numba.carray(pointer(y), (1, classes), np.int64))


@partial(compiled, nogil=False)
def run_signed_at(instructions: int, size: int, x: int, width: int, y: int, classes: int) -> None:
    """`run` on one row of int8."""
    words = numba.carray(pointer(instructions), size, np.int64)
    row = numba.carray(pointer(x), (1, width), np.int8)
    run(words, row, numba.carray(pointer(y), (1, classes), np.int64))


@compiled
def read_inputs(instructions: IntArray, x: Array, first: int, rows: int, memory: Array, start: int) -> None:
    """Write inputs as unsigned bytes, at the places where the first layer reads them."""
    size, stride = instructions[at.INPUT_SIZE], instructions[at.INPUT_BYTES]
    offset, fill, places = instructions[at.INPUT_OFFSET], instructions[at.INPUT_FILL], instructions[at.INPUT_PLACES]
    if fill != at.NONE:
        memory[start : start + rows * stride] = fill
    order = instructions[places // 8 : places // 8 + size]
    for n in range(rows):
        image, row = x[first + n], memory[start + n * stride : start + (n + 1) * stride]
        if places == at.NONE:
            for i in range(size):
                row[i] = np.uint8(image[i] - offset)
        else:
            for i in range(size):
                row[order[i]] = np.uint8(image[i] - offset)


@compiled
def write_outputs(instructions: IntArray, memory: Array, start: int, y: Array, first: int, rows: int) -> None:
    """Write the last layer's outputs in the caller's order and type."""
    kind = instructions[at.OUTPUT_KIND]
    layer = at.HEADER_WORDS + (instructions[at.LAYERS] - 1) * at.LAYER_WORDS
    stride = instructions[layer + at.OUT_BYTES]
    content = memory[start : start + rows * stride]
    if kind == at.SUMS:
        gather(instructions, content.view(np.int32), stride // 4, y, first)
    elif kind == at.SIGNED_BYTES:
        gather(instructions, content.view(np.int8), stride, y, first)
    else:
        gather(instructions, content, stride, y, first)


@compiled
def gather(instructions: IntArray, content: Array, stride: int, y: Array, first: int) -> None:
    """y[first + n, i] = content[n * stride + places[i]] + offset."""
    size, offset = instructions[at.OUTPUT_SIZE], instructions[at.OUTPUT_OFFSET]
    places = instructions[at.OUTPUT_PLACES] // 8
    order = instructions[places : places + size]
    for n in range(len(content) // stride):
        for i in range(size):
            y[first + n, i] = content[n * stride + order[i]] + offset


@compiled
def evaluate(instructions: IntArray, here: int, layer: int, lanes: int, x: int, y: int, images: int) -> None:
    """Evaluate one fused layer: tiles of rows, inside strips of channels, inside units.

    Args:
        instructions: The words of the whole network.
        here: The address of ``instructions``.
        layer: The index of the layer's first word.
        lanes: Lanes of a vector.
        x: The address of the layer's inputs.
        y: The address of its outputs.
        images: Rows of the block.
    """
    is_image = instructions[layer + at.UNITS]
    length = instructions[layer + at.LENGTH] if is_image else images
    columns, height = instructions[layer + at.COLUMNS], instructions[layer + at.ROWS]
    strips, groups = instructions[layer + at.STRIPS], instructions[layer + at.GROUPS]
    places = here + instructions[layer + at.PLACES]
    width = columns * lanes
    item = 4 if instructions[layer + at.RESCALE] == at.RAW else 1
    layer_address = here + 8 * layer
    for unit in range(images if is_image else 1):
        source = x + unit * instructions[layer + at.IN_BYTES]
        target = y + unit * instructions[layer + at.OUT_BYTES]
        for strip in range(strips):
            output = target + strip * width * item
            weights = here + instructions[layer + at.WEIGHTS] + strip * groups * width * 4
            channels = here + instructions[layer + at.CHANNELS] + strip * width * 16
            valid = instructions[layer + at.VALID] if strip == strips - 1 else width
            if length >= height:
                for start in range(0, length, height):
                    # The last tile may overlap the one before: the same sums, twice.
                    place = places + 8 * min(start, length - height)
                    if columns == 4:
                        rows_by_4(source, output, place, layer_address, here, weights, channels, valid)
                    elif columns == 2:
                        rows_by_2(source, output, place, layer_address, here, weights, channels, valid)
                    else:
                        rows_by_1(source, output, place, layer_address, here, weights, channels, valid)
            else:
                for start in range(length):
                    place = places + 8 * start
                    if columns == 4:
                        row_by_4(source, output, place, layer_address, here, weights, channels, valid)
                    elif columns == 2:
                        row_by_2(source, output, place, layer_address, here, weights, channels, valid)
                    else:
                        row_by_1(source, output, place, layer_address, here, weights, channels, valid)
