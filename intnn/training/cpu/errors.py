"""The errors: from the loss to the sums of every block, and from there to the block's inputs."""

import numpy as np

from intnn.machine.jit import compiled
from intnn.machine.memory import int32s, signed_bytes, unsigned_bytes
from intnn.training.cpu import lanes as lane
from intnn.training.cpu import words as at
from intnn.training.cpu.patches import fold, interleave
from intnn.training.cpu.products import products, row_product
from intnn.training.generator import GOLDEN, ROUNDING
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
transpose = lane.on_lanes(lane.transpose)
quantise, spread_errors = lane.on_lanes(lane.quantise), lane.on_lanes(lane.spread)


@compiled
def softmax_errors(logits: IntArray, labels: IntArray, shift: int, exponential: IntArray, errors: Array) -> None:
    """Rescale the logits and write the loss's errors; `intnn.training.ops.reference.softmax_errors` defines them."""
    classes = logits.shape[1]
    left, right = max(-shift, 0), max(shift, 0)
    half, points = (1 << right) >> 1, len(exponential)
    for b in range(len(labels)):
        peak = logits[b].max()
        highest = ((peak << left) + half) >> right
        total = 0
        for c in range(classes):
            distance = highest - (((logits[b, c] << left) + half) >> right)
            weight = exponential[min(distance, points - 1)]
            errors[b * classes + c] = weight
            total += weight
        for c in range(classes):
            errors[b * classes + c] = (np.int64(errors[b * classes + c]) << 15) // total
        errors[b * classes + labels[b]] -= 1 << 15


@compiled
def mix(x: np.uint32) -> np.uint32:
    """`intnn.training.generator.mix` on uint32, which wraps as wanted."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def stream(seed: np.uint64, number: np.uint64, block: np.uint64) -> tuple[np.uint32, np.uint32]:
    """`intnn.training.generator.key` at the path (ROUNDING, number, block)."""
    first, second = np.uint32(0), np.uint32(0)
    for word in (seed & np.uint64(0xFFFFFFFF), seed >> np.uint64(32), np.uint64(ROUNDING), number, block):
        narrow = np.uint32(word)
        first = mix(np.uint32(np.uint32(first + narrow) + np.uint32(GOLDEN)))
        second = mix(np.uint32(np.uint32(second ^ first) ^ narrow))
    return first, second


@compiled
def quantise_errors(lanes: int, d: Array, e: Array, first: np.uint32, second: np.uint32) -> int:
    """Round errors to bytes as `intnn.training.ops.reference.quantise_errors` defines, and return the shift."""
    low, high = np.int32(0), np.int32(0)
    for i in range(d.size):
        low, high = min(low, d[i]), max(high, d[i])
    peak, shift = max(-np.int64(low), np.int64(high)), 0
    while peak >> shift > 127:
        shift += 1
    if shift == 0:
        for i in range(d.size):
            e[i] = np.int8(d[i])
    else:
        for i in range(0, d.size, lanes):
            quantise((d.ctypes.data + 4 * i, e.ctypes.data + i, i, np.int64(first), np.int64(second), shift))
    return shift


@compiled
def spread(block: IntArray, lanes: int, batch: int, is_last: bool) -> None:
    """Turn errors of pooled activations into errors of sums, stored plus 128; they are zero where no window reaches."""
    rows, cols, size = block[at.ROWS], block[at.COLS], block[at.POOL]
    padded, outputs = block[at.PADDED], block[at.OUTPUTS]
    height, width = rows // size, cols // size
    if is_last:
        e, out = signed_bytes(block[at.ERRORS], batch * outputs), unsigned_bytes(block[at.SPREAD], batch * padded)
        for b in range(batch):
            for n in range(outputs):
                out[b * padded + n] = np.uint8(e[b * outputs + n] + 128)
        return
    e = block[at.ERRORS]
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                for u in range(size):
                    for v in range(size):
                        target = ((b * rows + i * size + u) * cols + j * size + v) * padded
                        n = 0
                        while n < padded:
                            spread_errors((e + n, block[at.SLOPES_MET] + target + n, block[at.SPREAD] + target + n))
                            n += lanes
                e += outputs


@compiled
def group_errors(block: IntArray, machine: IntArray, batch: int) -> None:
    """Bring the errors into the form of the gradient's right operand, and add them up over positions."""
    lanes, padded = machine[0], block[at.PADDED]
    fours = (batch * block[at.ROWS] * block[at.COLS] + 3) // 4
    source, target = block[at.SPREAD], block[at.ERROR_GROUPS]
    for p in range(padded // lanes):
        for m in range(fours):
            interleave((source + 4 * m * padded + p * lanes, padded, target + (p * fours + m) * 4 * lanes, 128))
    totals = int32s(block[at.ERROR_SUMS], padded)
    totals[:] = 0
    row_product(machine, np.full(4, 1, np.uint8), 0, target, fours, totals, totals)


@compiled
def backward(block: IntArray, machine: IntArray, scratch: Array, batch: int) -> None:
    """Find the errors of the inputs: products with the transposed weights, folded onto the images."""
    lanes, per_image, padded = machine[0], block[at.ROWS] * block[at.COLS], block[at.PADDED]
    panels = (block[at.DEPTH] + lanes - 1) // lanes
    transpose_weights(block, lanes)
    # Errors are stored plus 128, which adds to every sum what a row of 128s would give. Sums start from its negative.
    row = panels * lanes
    init, sums = scratch[:row], scratch[row:]
    zeros, all_128 = sums[:row], sums[row : row + (padded + 3) // 4]
    zeros[:], all_128[:] = 0, np.int32(-0x7F7F7F80)
    row_product(machine, all_128, 4, block[at.TRANSPOSED], padded // 4, zeros, init)
    for k in range(row):
        init[k] = -init[k]
    size = block[at.HEIGHT] * block[at.WIDTH] * block[at.CHANNELS]
    if per_image == 1 and size == row:  # patches are images
        products(
            machine, block[at.SPREAD], padded, 4, batch, block[at.TRANSPOSED], padded // 4, panels, init.ctypes.data,
            block[at.BACK],
        )  # fmt: skip
        return
    for first in range(0, batch, block[at.BLOCK]):
        images = min(block[at.BLOCK], batch - first)
        products(
            machine, block[at.SPREAD] + first * per_image * padded, padded, 4, images * per_image,
            block[at.TRANSPOSED], padded // 4, panels, init.ctypes.data, sums.ctypes.data,
        )  # fmt: skip
        fold(block, sums, row, int32s(block[at.BACK] + 4 * first * size, images * size), images)


@compiled
def transpose_weights(block: IntArray, lanes: int) -> None:
    """Bring bytes [output panel, input group, output lane, 4] to [input panel, output group, input lane, 4]."""
    depth, padded = block[at.DEPTH], block[at.PADDED]
    stride = 4 * lanes
    for panel in range(padded // lanes):
        for k in range(depth // 4):
            source = block[at.BYTES] + (panel * (depth // 4) + k) * stride
            group = 4 * k // lanes * (padded // 4) + panel * (lanes // 4)
            transpose((source, block[at.TRANSPOSED] + group * stride + 16 * k % stride, stride))
