"""A step in two halves, whose products come from outside and are checked: nothing changes where one cannot be."""

import numpy as np

from intnn.machine.jit import compiled
from intnn.machine.memory import signed_bytes, unsigned_bytes
from intnn.training.cpu import words as at
from intnn.training.cpu.step import begin
from intnn.training.cpu.update import update_by
from intnn.values.arrays import Array, IntArray

REFUSED = -(1 << 62)  # no exponent


@compiled
def first_weights(block: IntArray, machine: IntArray, out: IntArray) -> None:
    """Write a block's bytes as columns, int64 [fan_in, outputs]."""
    lanes, depth, (fan_in, outputs) = machine[0], block[at.DEPTH], out.shape
    narrow = signed_bytes(block[at.BYTES], depth * block[at.PADDED])
    for n in range(0, outputs, lanes):
        count = min(lanes, outputs - n)
        for k in range(fan_in):
            place = (n // lanes * depth + k // 4 * 4) * lanes + k % 4
            fours, column = narrow[place : place + 4 * count], out[k, n : n + count]
            for lane in range(count):
                column[lane] = fours[4 * lane]


@compiled
def begin_within(
    words: IntArray, machine: IntArray, scratch: Array, sums: IntArray, largest: int, labels: IntArray,
    exponential: IntArray, rate: IntArray, rounding: IntArray, logits: IntArray, errors: IntArray,
) -> int:  # fmt: skip
    """`intnn.training.cpu.step.begin`, which also writes the errors, int64 [batch, outputs].

    Returns:
        The exponent of the errors; REFUSED if a sum is beyond ``largest`` in magnitude, or a label is no class.
    """
    outside = False
    for label in labels:
        outside |= (label < 0) | (label >= logits.shape[1])
    for b in range(len(sums)):
        for n in range(sums.shape[1]):
            outside |= (sums[b, n] > largest) | (sums[b, n] < -largest)
    if outside:
        return REFUSED
    exponent = begin(words, machine, scratch, sums, labels, exponential, rate, rounding, logits)
    padded = words[0, at.PADDED]
    spread = unsigned_bytes(words[0, at.SPREAD], len(labels) * padded)
    for b in range(len(labels)):
        row = spread[b * padded : (b + 1) * padded]
        for n in range(errors.shape[1]):
            errors[b, n] = np.int64(row[n]) - 128
    return exponent


@compiled
def finish_within(
    block: IntArray, machine: IntArray, exponent: int, rate: IntArray, errors: IntArray, magnitude: int,
    gradient: IntArray,
) -> bool:  # fmt: skip
    """`intnn.training.cpu.update.update_by`, unless no inputs up to a magnitude have such a gradient.

    Args:
        block: As for `update_by`.
        machine: As for `update_by`.
        exponent: As for `update_by`.
        rate: As for `update_by`.
        errors: What `begin_within` has written.
        magnitude: The largest magnitude of an input.
        gradient: As for `update_by`.

    Returns:
        Whether there are such inputs.
    """
    totals = np.zeros(errors.shape[1], np.int64)
    for b in range(len(errors)):
        for n in range(len(totals)):
            totals[n] += abs(errors[b, n])
    reach, outside = magnitude * totals.max(), False
    for k in range(len(gradient)):
        for n in range(gradient.shape[1]):
            outside |= (gradient[k, n] > reach) | (gradient[k, n] < -reach)
    if outside:
        return False
    update_by(block, machine, exponent, rate, gradient)
    return True
