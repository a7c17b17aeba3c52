"""What goes in and out of a step in two halves, whose sums and gradients come from outside."""

from intnn.machine.jit import compiled
from intnn.machine.memory import signed_bytes, unsigned_bytes
from intnn.training.cpu import words as at
from intnn.values.arrays import Array, IntArray


@compiled
def first_weights(block: IntArray, machine: IntArray, out: IntArray) -> None:
    """Write a block's bytes as rows, int64 [outputs, fan_in]."""
    lanes, depth = machine[0], block[at.DEPTH]
    narrow = signed_bytes(block[at.BYTES], depth * block[at.PADDED])
    for n in range(out.shape[0]):
        place = n // lanes * depth * lanes + 4 * (n % lanes)
        for k in range(out.shape[1]):
            out[n, k] = narrow[place + k // 4 * 4 * lanes + k % 4]


@compiled
def first_errors(block: IntArray, out: IntArray) -> None:
    """Write the errors of a dense block's sums, int64 [outputs, batch]."""
    padded = block[at.PADDED]
    spread = unsigned_bytes(block[at.SPREAD], out.shape[1] * padded)
    for n in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[n, b] = int(spread[b * padded + n]) - 128


@compiled
def reach(errors: IntArray) -> int:
    """Return the largest sum of the magnitudes of a row, int64 [rows, columns]."""
    largest = 0
    for n in range(errors.shape[0]):
        total = 0
        for b in range(errors.shape[1]):
            total += abs(errors[n, b])
        largest = max(largest, total)
    return largest


@compiled
def lie_within(values: Array, low: int, high: int) -> bool:
    """Whether all values of an int64 array of two axes lie in [low, high]."""
    inside = True
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            inside &= (values[i, j] >= low) & (values[i, j] <= high)
    return inside
