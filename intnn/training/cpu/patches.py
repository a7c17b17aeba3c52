"""Images to rows of patches, and the errors of patches back onto images."""

from intnn.machine.jit import compiled
from intnn.machine.memory import unsigned_bytes
from intnn.training.cpu import lanes as lane
from intnn.training.cpu import words as at
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
copy_8, copy_16, fold_run = lane.on_lanes(lane.copy_8), lane.on_lanes(lane.copy_16), lane.on_lanes(lane.fold)
interleave = lane.on_lanes(lane.interleave)
FOLDED = lane.FOLDED


@compiled
def group_patches(block: IntArray, lanes: int, batch: int) -> None:
    """Bring the patches into groups of four positions: the left operand of the gradient's products."""
    positions, depth = batch * block[at.ROWS] * block[at.COLS], block[at.DEPTH]
    source, target = block[at.PATCHES], block[at.GROUPS]
    for m in range(0, positions, 4):
        for k in range(0, depth, lanes):
            interleave((source + m * depth + k, depth, target + m * depth + 4 * k, 0))


@compiled
def patches(block: IntArray, first: int, images: int) -> None:
    """Write what the kernel sees at every position as a row; `intnn.training.ops.reference.patches` defines it.

    Positions are the innermost loop, since a kernel's rows are short. Copies write some bytes too many: the kernel's
    next row overwrites them, and behind its last row DEPTH leaves room, where weights are zero.
    """
    height, line, channels = block[at.HEIGHT], block[at.WIDTH] * block[at.CHANNELS], block[at.CHANNELS]
    window, run = block[at.KERNEL_HEIGHT], block[at.KERNEL_WIDTH] * channels
    rows, cols, depth = block[at.ROWS], block[at.COLS], block[at.DEPTH]
    step, padding = block[at.STRIDE] * channels, block[at.PADDING]
    begin = min((padding * channels + step - 1) // step, cols)  # the positions of which no column lies outside
    end = max(min((line - run + padding * channels) // step + 1, cols), begin)
    for b in range(first, first + images):
        image = block[at.INPUTS] + b * height * line
        for i in range(rows):
            for u in range(window):
                row = i * block[at.STRIDE] + u - padding
                target = block[at.PATCHES] + (b * rows + i) * cols * depth + u * run
                inside = 0 <= row < height
                if inside:
                    source = image + row * line - padding * channels + begin * step
                    copy_runs(source, step, target + begin * depth, depth, end - begin, run)
                if not inside or begin > 0 or end < cols:
                    copy_edges(block, image + row * line, target, inside, begin, end)


@compiled
def copy_runs(source: int, step: int, target: int, depth: int, count: int, run: int) -> None:
    """Copy ``count`` runs of bytes, which begin ``step`` bytes apart, to rows that begin ``depth`` bytes apart."""
    if run <= 8:
        for _ in range(count):
            copy_8((source, target))
            source += step
            target += depth
        return
    for k in range(0, run, 16):
        here, there = source + k, target + k
        for _ in range(count):
            copy_16((here, there))
            here += step
            there += depth


@compiled
def copy_edges(block: IntArray, line: int, target: int, inside: bool, begin: int, end: int) -> None:
    """Copy one row of the kernel, at the positions where a part of it lies outside the image.

    A column is outside before position ``begin`` and from ``end`` on; the whole row is outside unless ``inside``.
    """
    channels, cols, depth = block[at.CHANNELS], block[at.COLS], block[at.DEPTH]
    size, run = block[at.WIDTH] * channels, block[at.KERNEL_WIDTH] * channels
    x, out = unsigned_bytes(line, size), unsigned_bytes(target, cols * depth)
    for j in range(cols):
        if inside and begin <= j < end:
            continue
        left = (j * block[at.STRIDE] - block[at.PADDING]) * channels
        for k in range(run):
            out[j * depth + k] = x[left + k] if inside and 0 <= left + k < size else block[at.OFFSET]


@compiled
def fold(block: IntArray, d: Array, row_size: int, out: Array, images: int) -> None:
    """Add every patch back onto its image; `intnn.training.ops.reference.fold` defines it."""
    height, width, channels = block[at.HEIGHT], block[at.WIDTH], block[at.CHANNELS]
    window, run = block[at.KERNEL_HEIGHT], block[at.KERNEL_WIDTH] * channels
    rows, cols, stride, padding = block[at.ROWS], block[at.COLS], block[at.STRIDE], block[at.PADDING]
    sums, here = d.ctypes.data, out.ctypes.data
    out[:] = 0
    for b in range(images):
        for i in range(rows):
            for j in range(cols):
                source = ((b * rows + i) * cols + j) * row_size
                left = (j * stride - padding) * channels
                start, stop = max(-left, 0), run - max(left + run - width * channels, 0)
                for u in range(window):
                    row = i * stride + u - padding
                    if 0 <= row < height:
                        target = (b * height + row) * width * channels + left
                        whole = start + (stop - start) // FOLDED * FOLDED
                        for k in range(start, whole, FOLDED):
                            fold_run((sums + 4 * (source + k), here + 4 * (target + k)))
                        for k in range(whole, stop):
                            out[target + k] += d[source + k]
                    source += run
