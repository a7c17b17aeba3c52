"""From sums to the bytes of the next block: activations, their slopes, and pooling."""

from intnn.machine.jit import compiled
from intnn.machine.memory import int32s, signed_bytes, unsigned_bytes
from intnn.training.cpu import lanes as lane
from intnn.training.cpu import words as at
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
relu, pool_windows = lane.on_lanes(lane.relu), lane.on_lanes(lane.pool)


@compiled
def activate(block: IntArray, lanes: int, sums: Array, values: int, slopes: int) -> None:
    """Turn sums into activations and slopes, both bytes [positions, PADDED].

    An activation is stored plus NEXT_OFFSET, unsigned. A slope is signed, and zero behind the outputs.
    """
    shift = block[at.SHIFT]
    # This is (s + 2**(right - 1)) >> right without leaving int32: it drops all but one bit, and rounds by the last.
    left, early, last = max(-shift, 0), max(shift - 1, 0), int(shift > 0)
    if block[at.IS_RELU]:
        for i in range(0, sums.size, lanes):
            relu((sums.ctypes.data + 4 * i, values + i, slopes + i, early, last, left))
        return
    table, derivatives = int32s(block[at.VALUES], 512), int32s(block[at.SLOPES], 512)
    y, s = unsigned_bytes(values, sums.size), signed_bytes(slopes, sums.size)
    outputs, padded, offset = block[at.OUTPUTS], block[at.PADDED], block[at.NEXT_OFFSET]
    for row in range(0, sums.size, padded):
        for i in range(row, row + outputs):
            z = min(max(((sums[i] >> early) + last) >> last, -256), 255)
            z = min(max(z << left, -256), 255)
            y[i] = table[z + 256] + offset
            s[i] = derivatives[z + 256]
        s[row + outputs : row + padded] = 0


@compiled
def pool(block: IntArray, lanes: int, values: int, y: int, images: int) -> None:
    """Sum activations [positions, PADDED] over windows, and rescale them to the next block's bytes."""
    rows, cols, size, padded, outputs = (
        block[at.ROWS], block[at.COLS], block[at.POOL], block[at.PADDED], block[at.OUTPUTS]
    )  # fmt: skip
    height, width, shift, offset = rows // size, cols // size, block[at.POOL_SHIFT], block[at.NEXT_OFFSET]
    for b in range(images):
        for i in range(height):
            for j in range(width):
                target = y + ((b * height + i) * width + j) * outputs
                source = values + ((b * rows + i * size) * cols + j * size) * padded
                for n in range(0, outputs, lanes):
                    pool_windows((source + n, padded, cols * padded, size, shift, offset, target + n))
