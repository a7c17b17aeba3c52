"""One training step in one compiled call, bit-equal to `intnn.training.step`.

The products are `training_tile`'s; everything else is loops that LLVM turns into vectors.
"""

import numpy as np

from intnn.machine.jit import compiled
from intnn.machine.memory import int32s, signed_bytes, unsigned_bytes
from intnn.training.cpu import lanes as lane
from intnn.training.cpu import words as at
from intnn.training.cpu.tile import RULE, products_tile, update_tile
from intnn.values.arrays import Array, IntArray

# Globals, not closures: only so does Numba's cache on disk find them again.
rows_by_1, rows_by_2, row_by_1, row_by_2 = (products_tile(n, single) for single in (False, True) for n in (1, 2))
update_by_1, update_by_2 = update_tile(1), update_tile(2)
copy_8, copy_16, fold_run = lane.on_lanes(lane.copy_8), lane.on_lanes(lane.copy_16), lane.on_lanes(lane.fold)
interleave, transpose = lane.on_lanes(lane.interleave), lane.on_lanes(lane.transpose)
relu, pool_windows = lane.on_lanes(lane.relu), lane.on_lanes(lane.pool)
quantise, spread_errors = lane.on_lanes(lane.quantise), lane.on_lanes(lane.spread)
FOLDED = lane.FOLDED


RULES = len(RULE)

# From `intnn.training`, which kernels do not import: the generator's and the descent's constants.
ROUNDING, GOLDEN = 3, 0x9E3779B9
VELOCITY_LIMIT, BIAS_LIMIT = 1 << 29, 1 << 30


@compiled
def step(
    words: IntArray, machine: IntArray, scratch: Array, labels: IntArray, exponential: IntArray, rate: IntArray,
    rounding: IntArray, logits: IntArray,
) -> None:  # fmt: skip
    """Train on the batch that lies in the first block's inputs.

    Args:
        words: int64 [blocks, WORDS], see `training_words`.
        machine: int64, lanes and rows of a tile.
        scratch: int32, for the sums of one block of images at a time.
        labels: int64 [batch].
        exponential: int64 [1024], see `intnn.training.tables`.
        rate: int64: mantissa, shift, momentum_shift, decay_shift, exponent of the loss's errors.
        rounding: uint64 [2]: the seed and the number of the step.
        logits: int64 [batch, classes], written.
    """
    batch, last = len(labels), len(words) - 1
    for i in range(len(words)):
        forward(words[i], words[min(i + 1, last)], machine, scratch, batch, i == last, logits)
    errors = scratch[: logits.size]
    softmax_errors(logits, labels, words[last, at.SHIFT], exponential, errors)
    exponent = rate[4]
    for i in range(last, -1, -1):
        first, second = stream(rounding[0], rounding[1], np.uint64(i))
        block = words[i]
        shift = quantise_errors(machine[0], errors, signed_bytes(block[at.ERRORS], errors.size), first, second)
        exponent -= shift
        if i < last:
            exponent += block[at.POOL_SHIFT]
        spread(block, machine[0], batch, i == last)
        group_errors(block, machine, batch)
        group_patches(block, machine[0], batch)
        if i:
            back(block, machine, scratch, batch)
            errors = int32s(block[at.BACK], batch * block[at.HEIGHT] * block[at.WIDTH] * block[at.CHANNELS])
        update(block, machine, batch, exponent, rate)
        exponent += block[at.WEIGHT_EXPONENT]


@compiled
def forward(
    block: IntArray, following: IntArray, machine: IntArray, scratch: Array, batch: int, is_last: bool, logits: IntArray
) -> None:
    """Patches, products, and the next block's inputs or the logits; few images at a time, so that sums stay cached."""
    per_image, padded, depth = block[at.ROWS] * block[at.COLS], block[at.PADDED], block[at.DEPTH]
    for first in range(0, batch, block[at.BLOCK]):
        images = min(block[at.BLOCK], batch - first)
        place = first * per_image
        patches(block, first, images)
        a = block[at.PATCHES] + place * depth
        sums = scratch[: images * per_image * padded]
        products(
            machine, a, depth, 4, images * per_image, block[at.BYTES], depth // 4, padded // machine[0], block[at.INIT],
            sums.ctypes.data,
        )  # fmt: skip
        if is_last:
            for b in range(images):
                for n in range(block[at.OUTPUTS]):
                    logits[first + b, n] = sums[b * padded + n]
        else:
            values = scratch.ctypes.data + 4 * sums.size
            activate(block, machine[0], sums, values, block[at.SLOPES_MET] + place * padded)
            pooled = (block[at.ROWS] // block[at.POOL]) * (block[at.COLS] // block[at.POOL]) * block[at.OUTPUTS]
            pool(block, machine[0], values, following[at.INPUTS] + first * pooled, images)


@compiled
def group_patches(block: IntArray, lanes: int, batch: int) -> None:
    """The patches as the left operand of the gradient's products."""
    positions, depth = batch * block[at.ROWS] * block[at.COLS], block[at.DEPTH]
    source, target = block[at.PATCHES], block[at.GROUPS]
    for m in range(0, positions, 4):
        for k in range(0, depth, lanes):
            interleave((source + m * depth + k, depth, target + m * depth + 4 * k, 0))


@compiled
def patches(block: IntArray, first: int, images: int) -> None:
    """What the kernel sees at every position, as rows; see `intnn.training.ops.reference.patches`.

    Positions are the innermost loop, for a kernel's rows are short. Copies write some bytes too many: the kernel's next
    row comes later, and behind its last row DEPTH leaves room, where weights are zero.
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
    """``count`` runs of bytes that begin ``step`` bytes apart, to rows that begin ``depth`` bytes apart."""
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
    """One row of the kernel at the positions where a column, or (not ``inside``) the row, lies outside the image."""
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
def products(
    machine: IntArray, a: int, a_row: int, a_group: int, rows: int, b: int, groups: int, panels: int, init: int, c: int
) -> None:
    """c[r, n] = init[n] + a[r] b[n] by tiles; see `products_tile`."""
    lanes, height = machine[0], machine[1]
    panel, c_row = 4 * groups * lanes, 4 * panels * lanes
    for p in range(0, panels, 2):
        here, start, total = b + p * panel, init + 4 * p * lanes, c + 4 * p * lanes
        is_pair = p + 1 < panels
        if rows >= height:
            for r in range(0, rows, height):
                r = min(r, rows - height)  # the last tile may overlap the one before: the same sums, twice
                if is_pair:
                    rows_by_2(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
                else:
                    rows_by_1(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
        else:
            for r in range(rows):
                if is_pair:
                    row_by_2(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)
                else:
                    row_by_1(a + r * a_row, a_row, a_group, here, panel, groups, start, total + r * c_row, c_row)


@compiled
def row_product(machine: IntArray, a: Array, a_group: int, b: int, groups: int, init: Array, c: Array) -> None:
    """`products` of one row."""
    products(
        machine, a.ctypes.data, 0, a_group, 1, b, groups, len(c) // machine[0], init.ctypes.data, c.ctypes.data
    )  # fmt: skip


@compiled
def activate(block: IntArray, lanes: int, sums: Array, values: int, slopes: int) -> None:
    """Sums to activations, uint8 [positions, PADDED] plus NEXT_OFFSET, and slopes, int8; behind the outputs slope 0."""
    shift = block[at.SHIFT]
    # (s + 2**(right - 1)) >> right without leaving int32: drop all but one bit, round by the last.
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
    """Activations [positions, PADDED] to the next block's bytes, summed over windows and rescaled."""
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


@compiled
def softmax_errors(logits: IntArray, labels: IntArray, shift: int, exponential: IntArray, errors: Array) -> None:
    """See `intnn.training.ops.reference.softmax_errors`; the logits are rescaled on the way."""
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
    """See `intnn.training.generator.mix`."""
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
    """See `intnn.training.ops.reference.quantise_errors`; returns the shift."""
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
    """Errors of pooled activations to errors of sums, plus 128; zero where no window reaches."""
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
    """The errors as the right operand of the gradient's products, and their sums over positions."""
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
def back(block: IntArray, machine: IntArray, scratch: Array, batch: int) -> None:
    """Errors of the inputs: products with the transposed weights, folded onto the images."""
    lanes, per_image, padded = machine[0], block[at.ROWS] * block[at.COLS], block[at.PADDED]
    panels = (block[at.DEPTH] + lanes - 1) // lanes
    transpose_weights(block, lanes)
    # The errors are stored plus 128, which adds what a row of 128 would give: its negative is where sums start.
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
    """Bytes [output panel, input group, output lane, 4] to [input panel, output group, input lane, 4]."""
    depth, padded = block[at.DEPTH], block[at.PADDED]
    stride = 4 * lanes
    for panel in range(padded // lanes):
        for k in range(depth // 4):
            source = block[at.BYTES] + (panel * (depth // 4) + k) * stride
            group = 4 * k // lanes * (padded // 4) + panel * (lanes // 4)
            transpose((source, block[at.TRANSPOSED] + group * stride + 16 * k % stride, stride))


@compiled
def fold(block: IntArray, d: Array, row_size: int, out: Array, images: int) -> None:
    """Add every patch back onto its image; see `intnn.training.ops.reference.fold`."""
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


@compiled
def update(block: IntArray, machine: IntArray, batch: int, exponent: int, rate: IntArray) -> None:
    """Gradients and descent in one pass, then the biases."""
    mantissa, rate_shift, momentum, decay = rate[0], rate[1], rate[2], rate[3]
    padded = block[at.PADDED]
    shift = exponent + block[at.INPUT_EXPONENT] + rate_shift - block[at.MASTER_EXPONENT] - block[at.DROPPED]
    rule = np.empty(RULES, np.int32)
    write_rule(rule, block[at.DROPPED], mantissa, shift, momentum, decay, block[at.FRACTION], block[at.WEIGHT_LIMIT])
    totals, init = int32s(block[at.ERROR_SUMS], padded), int32s(block[at.INIT], padded)
    for n in range(padded):
        init[n] = -block[at.OFFSET] * totals[n]
    descend(block, machine, batch, rule)
    rest(block, machine[0])

    shift = exponent + rate_shift - block[at.BIAS_EXPONENT] - block[at.BIAS_DROPPED]
    write_rule(rule, block[at.BIAS_DROPPED], mantissa, shift, momentum, 0, 0, BIAS_LIMIT)
    bias, velocity = int32s(block[at.BIAS], padded), int32s(block[at.BIAS_VELOCITY], padded)
    for n in range(block[at.OUTPUTS]):
        g = np.int64(totals[n])
        moved = ((g >> rule[0]) * rule[1] + rule[2]) >> rule[3]
        moved = min(max(moved, -rule[4]), rule[4]) << rule[5]
        v = velocity[n]
        v = min(max(v - (v >> momentum) + moved, -VELOCITY_LIMIT), VELOCITY_LIMIT)
        velocity[n] = v
        bias[n] = min(max(bias[n] - v, -BIAS_LIMIT), BIAS_LIMIT)
    start_sums(block, machine)


@compiled
def descend(block: IntArray, machine: IntArray, batch: int, rule: Array) -> None:
    """The weights' gradients by tiles, each met by its weights at once."""
    lanes, height, padded, depth = machine[0], machine[1], block[at.PADDED], block[at.DEPTH]
    fours = (batch * block[at.ROWS] * block[at.COLS] + 3) // 4
    panels, panel, weights_panel = padded // lanes, 4 * fours * lanes, 4 * depth * lanes
    for p in range(0, panels, 2):
        errors, place = block[at.ERROR_GROUPS] + p * panel, p * weights_panel
        for k in range(0, depth, height):
            a, here = block[at.GROUPS] + 4 * k, place + 4 * k * lanes
            w, v, narrow = block[at.WEIGHTS] + here, block[at.VELOCITY] + here, block[at.BYTES] + here // 4
            start = block[at.INIT] + 4 * p * lanes
            if p + 1 < panels:
                update_by_2(a, 4 * depth, errors, panel, fours, start, w, v, narrow, weights_panel, rule.ctypes.data)
            else:
                update_by_1(a, 4 * depth, errors, panel, fours, start, w, v, narrow, weights_panel, rule.ctypes.data)


@compiled
def rest(block: IntArray, lanes: int) -> None:
    """Hold the weights behind the fan-in at zero: patches hold anything there."""
    depth, fan_in, size = block[at.DEPTH], block[at.FAN_IN], block[at.DEPTH] * block[at.PADDED]
    weights, velocity = int32s(block[at.WEIGHTS], size), int32s(block[at.VELOCITY], size)
    narrow = signed_bytes(block[at.BYTES], size)
    for panel in range(0, size, depth * lanes):
        weights[panel + fan_in * lanes : panel + depth * lanes] = 0
        velocity[panel + fan_in * lanes : panel + depth * lanes] = 0
        for k in range(fan_in, depth):
            for n in range(lanes):
                narrow[panel + (k // 4 * lanes + n) * 4 + k % 4] = 0


@compiled
def write_rule(
    rule: Array, dropped: int, mantissa: int, shift: int, momentum: int, decay: int, fraction: int, limit: int
) -> None:
    """The numbers that a gradient meets on its way to a weight: `RULE`, in this order."""
    right, left = max(shift, 0), min(max(-shift, 0), 27)
    rule[0] = dropped
    rule[1] = mantissa if shift <= 30 else 0
    rule[2] = (1 << right) >> 1 if right <= 30 else 0
    rule[3] = min(right, 31)
    rule[4] = (1 << 27) >> left
    rule[5] = left
    rule[6] = VELOCITY_LIMIT
    rule[7] = momentum
    rule[8] = decay
    rule[9] = -1 if decay else 0
    rule[10] = limit << fraction
    rule[11] = (1 << fraction) >> 1
    rule[12] = fraction


@compiled
def start_sums(block: IntArray, machine: IntArray) -> None:
    """What the next forward sums start from: the biases, less what inputs stored plus 128 add."""
    padded, depth = block[at.PADDED], block[at.DEPTH]
    init, bias = int32s(block[at.INIT], padded), int32s(block[at.BIAS], padded)
    init[:] = 0
    if block[at.OFFSET]:
        all_128, zeros = np.full(depth, 128, np.uint8), np.zeros(padded, np.int32)
        row_product(machine, all_128, 4, block[at.BYTES], depth // 4, zeros, init)
    shift = block[at.BIAS_SHIFT]
    left, right = max(-shift, 0), max(shift, 0)
    for n in range(block[at.OUTPUTS]):
        init[n] = (((np.int64(bias[n]) << left) + ((1 << right) >> 1)) >> right) - init[n]
