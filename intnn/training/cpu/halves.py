"""A step in two halves, whose products come from outside and are checked: nothing changes where one cannot be."""

from intnn.machine.jit import compiled
from intnn.machine.memory import signed_bytes, unsigned_bytes
from intnn.training.cpu import words as at
from intnn.training.cpu.step import begin
from intnn.training.cpu.update import update_by
from intnn.values.arrays import Array, IntArray

REFUSED = -(1 << 62)  # no exponent


@compiled
def first_weights(block: IntArray, machine: IntArray, out: IntArray) -> None:
    """Write a block's bytes as rows, int64 [outputs, fan_in]."""
    lanes, depth = machine[0], block[at.DEPTH]
    narrow = signed_bytes(block[at.BYTES], depth * block[at.PADDED])
    whole = out.shape[1] - out.shape[1] % 4
    for n in range(out.shape[0]):
        place, row = n // lanes * depth * lanes + 4 * (n % lanes), out[n]
        for k in range(0, whole, 4):
            four = narrow[place + k * lanes : place + k * lanes + 4]
            row[k], row[k + 1], row[k + 2], row[k + 3] = four[0], four[1], four[2], four[3]
        for k in range(whole, out.shape[1]):
            row[k] = narrow[place + whole * lanes + k - whole]


@compiled
def begin_within(
    words: IntArray, machine: IntArray, scratch: Array, sums: IntArray, largest: int, labels: IntArray,
    exponential: IntArray, rate: IntArray, rounding: IntArray, logits: IntArray, errors: IntArray,
) -> int:  # fmt: skip
    """`intnn.training.cpu.step.begin`, which also writes the errors, int64 [outputs, batch].

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
    for n in range(len(errors)):
        for b in range(len(labels)):
            errors[n, b] = int(spread[b * padded + n]) - 128
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
    reach = 0
    for n in range(len(errors)):
        total = 0
        for b in range(errors.shape[1]):
            total += abs(errors[n, b])
        reach = max(reach, magnitude * total)
    outside = False
    for k in range(len(gradient)):
        for n in range(gradient.shape[1]):
            outside |= (gradient[k, n] > reach) | (gradient[k, n] < -reach)
    if outside:
        return False
    update_by(block, machine, exponent, rate, gradient)
    return True
