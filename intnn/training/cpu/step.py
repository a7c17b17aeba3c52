"""One training step in one compiled call, bit-equal to `intnn.training.step.step`.

`intnn.training.cpu.words` describes a block's words. The products are register tiles, which are emitted as LLVM
instructions; everything else is loops that LLVM turns into vectors.
"""

import numpy as np

from intnn.machine.jit import compiled
from intnn.machine.memory import int32s, signed_bytes
from intnn.training.cpu import words as at
from intnn.training.cpu.activations import activate, pool
from intnn.training.cpu.errors import backward, group_errors, quantise_errors, softmax_errors, spread, stream
from intnn.training.cpu.patches import group_patches, patches
from intnn.training.cpu.products import products
from intnn.training.cpu.update import update
from intnn.values.arrays import Array, IntArray


@compiled
def step(
    words: IntArray, machine: IntArray, scratch: Array, labels: IntArray, exponential: IntArray, rate: IntArray,
    rounding: IntArray, logits: IntArray,
) -> None:  # fmt: skip
    """Train on the batch that lies in the first block's inputs.

    Args:
        words: int64 [blocks, WORDS], as `intnn.training.cpu.words` describes them.
        machine: int64, the lanes of a vector and the rows of a tile.
        scratch: int32, memory for the sums of a few images at a time.
        labels: The classes, int64 [batch].
        exponential: int64 [1024], the table of `intnn.training.tables.exponential`.
        rate: int64 [5]: mantissa, shift, momentum_shift, decay_shift and the exponent of the loss's errors.
        rounding: uint64 [2]: the seed and the number of the step.
        logits: int64 [batch, classes]; the kernel writes the logits before the update here.
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
            backward(block, machine, scratch, batch)
            errors = int32s(block[at.BACK], batch * block[at.HEIGHT] * block[at.WIDTH] * block[at.CHANNELS])
        update(block, machine, batch, exponent, rate)
        exponent += block[at.WEIGHT_EXPONENT]


@compiled
def forward(
    block: IntArray, following: IntArray, machine: IntArray, scratch: Array, batch: int, is_last: bool, logits: IntArray
) -> None:
    """Evaluate a block: patches, products, and then the next block's inputs or, behind the last block, the logits.

    A few images are evaluated at a time, so that their sums stay in the cache.
    """
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
