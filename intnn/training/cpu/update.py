"""The update: gradients and descent in one pass over the weights, then the biases."""

import numpy as np

from intnn.machine.jit import compiled
from intnn.machine.memory import int32s, signed_bytes
from intnn.training.cpu import words as at
from intnn.training.cpu.products import row_product
from intnn.training.cpu.tile import RULE, given_tile, update_tile
from intnn.training.limits import BIAS_LIMIT, VELOCITY_LIMIT
from intnn.values.arrays import Array, IntArray

# These are globals, not closures: only so does Numba's cache on disk find the functions that use them.
update_by_1, update_by_2 = update_tile(1), update_tile(2)
RULES = len(RULE)


@compiled
def update(block: IntArray, machine: IntArray, batch: int, exponent: int, rate: IntArray) -> None:
    """Find the gradients and descend, in one pass over the weights, then over the biases.

    `intnn.training.step.update` defines the result; ``rate`` is as in `intnn.training.cpu.step.step`.
    """
    padded = block[at.PADDED]
    totals, init = int32s(block[at.ERROR_SUMS], padded), int32s(block[at.INIT], padded)
    for n in range(padded):
        init[n] = -block[at.OFFSET] * totals[n]
    rule = weights_rule(block, exponent, rate)
    descend(block, machine, batch, rule)
    clear_padding(block, machine[0])
    update_biases(block, machine, exponent, rate)


@compiled
def update_by(block: IntArray, machine: IntArray, exponent: int, rate: IntArray, gradient: IntArray) -> None:
    """`update` by the weights' gradients from outside, int64 [fan_in, outputs] that fit int32.

    The biases' gradients are those that the errors left.
    """
    rule, tile = weights_rule(block, exponent, rate), np.zeros((machine[1], machine[0]), np.int64)
    descend_by(block, gradient, rule, tile)
    update_biases(block, machine, exponent, rate)


@compiled
def weights_rule(block: IntArray, exponent: int, rate: IntArray) -> Array:
    """The numbers of `RULE` for a block's weights."""
    shift = exponent + block[at.INPUT_EXPONENT] + rate[1] - block[at.MASTER_EXPONENT] - block[at.DROPPED]
    rule = np.empty(RULES, np.int32)
    write_rule(
        rule, block[at.DROPPED], rate[0], shift, rate[2], rate[3], block[at.FRACTION], block[at.WEIGHT_LIMIT]
    )  # fmt: skip
    return rule


@compiled
def update_biases(block: IntArray, machine: IntArray, exponent: int, rate: IntArray) -> None:
    """Descend on the biases, and write what the next sums start from."""
    padded, momentum = block[at.PADDED], rate[2]
    shift = exponent + rate[1] - block[at.BIAS_EXPONENT] - block[at.BIAS_DROPPED]
    rule = np.empty(RULES, np.int32)
    write_rule(rule, block[at.BIAS_DROPPED], rate[0], shift, momentum, 0, 0, BIAS_LIMIT)
    totals = int32s(block[at.ERROR_SUMS], padded)
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
    """Find the weights' gradients tile by tile, and change the weights of a tile as soon as it is summed."""
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
def descend_by(block: IntArray, gradient: IntArray, rule: Array, tile: Array) -> None:
    """Change the weights by gradients [fan_in, outputs], tile by tile.

    The gradients of what lies behind the outputs and the fan-in are zero: a tile that reaches there is copied to
    ``tile``, int64 [row, lane].
    """
    (height, lanes), depth, outputs, fan_in = tile.shape, block[at.DEPTH], block[at.OUTPUTS], block[at.FAN_IN]
    for n in range(0, outputs, lanes):
        for k in range(0, depth, height):
            start, row = np.int64(gradient.ctypes.data) + 8 * (k * outputs + n), 8 * outputs
            if n + lanes > outputs or k + height > fan_in:
                tile[:] = 0
                for r in range(min(height, fan_in - k)):
                    for lane in range(min(lanes, outputs - n)):
                        tile[r, lane] = gradient[k + r, n + lane]
                start, row = np.int64(tile.ctypes.data), 8 * lanes
            place = n * depth + k * lanes
            w, v = block[at.WEIGHTS] + 4 * place, block[at.VELOCITY] + 4 * place
            given_tile(start, row, w, v, block[at.BYTES] + place, rule.ctypes.data)


@compiled
def clear_padding(block: IntArray, lanes: int) -> None:
    """Hold the weights behind the fan-in at zero, since patches may hold anything there."""
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
    """Write the numbers that a gradient meets on its way to a weight, in the order of `RULE`."""
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
    """Write what the next forward sums start from: the biases, less what inputs stored plus 128 add."""
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
