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
    exponent = errors(words, machine, scratch, labels, exponential, rate, rounding, logits)
    group_patches(words[0], machine[0], batch)
    update(words[0], machine, batch, exponent, rate)


@compiled
def begin(
    words: IntArray, machine: IntArray, scratch: Array, sums: IntArray, labels: IntArray, exponential: IntArray,
    rate: IntArray, rounding: IntArray, logits: IntArray,
) -> int:  # fmt: skip
    """`step` from the first block's products, int64 [batch, outputs], to its errors, whose exponent is returned.

    The first block is dense and has no offset; the other arguments are those of `step`. Every block but the first is
    updated.
    """
    batch, last = len(labels), len(words) - 1
    take_sums(words[0], words[min(1, last)], machine, scratch, sums, last == 0, logits)
    for i in range(1, len(words)):
        forward(words[i], words[min(i + 1, last)], machine, scratch, batch, i == last, logits)
    return errors(words, machine, scratch, labels, exponential, rate, rounding, logits)


@compiled
def errors(
    words: IntArray, machine: IntArray, scratch: Array, labels: IntArray, exponential: IntArray, rate: IntArray,
    rounding: IntArray, logits: IntArray,
) -> int:  # fmt: skip
    """Go back from the logits to the errors of the first block's sums, whose exponent is returned.

    Every block but the first is updated. The arguments are those of `step`.
    """
    batch, last = len(labels), len(words) - 1
    d = scratch[: logits.size]
    softmax_errors(logits, labels, words[last, at.SHIFT], exponential, d)
    exponent = rate[4]
    for i in range(last, -1, -1):
        first, second = stream(rounding[0], rounding[1], np.uint64(i))
        block = words[i]
        shift = quantise_errors(machine[0], d, signed_bytes(block[at.ERRORS], d.size), first, second)
        exponent -= shift
        if i < last:
            exponent += block[at.POOL_SHIFT]
        spread(block, machine[0], batch, i == last)
        group_errors(block, machine, batch)
        if i:
            group_patches(block, machine[0], batch)
            backward(block, machine, scratch, batch)
            d = int32s(block[at.BACK], batch * block[at.HEIGHT] * block[at.WIDTH] * block[at.CHANNELS])
            update(block, machine, batch, exponent, rate)
            exponent += block[at.WEIGHT_EXPONENT]
    return exponent


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
        pass_on(block, following, machine, sums, first, images, is_last, logits)


@compiled
def take_sums(
    block: IntArray, following: IntArray, machine: IntArray, scratch: Array, given: IntArray, is_last: bool,
    logits: IntArray,
) -> None:  # fmt: skip
    """Evaluate a dense block whose products come from outside, int64 [batch, outputs]."""
    batch, outputs, padded = len(given), block[at.OUTPUTS], block[at.PADDED]
    init = int32s(block[at.INIT], padded)
    for first in range(0, batch, block[at.BLOCK]):
        images = min(block[at.BLOCK], batch - first)
        sums = scratch[: images * padded]
        for b in range(images):
            row = sums[b * padded : (b + 1) * padded]
            row[outputs:] = 0
            for n in range(outputs):
                row[n] = given[first + b, n] + init[n]
        pass_on(block, following, machine, sums, first, images, is_last, logits)


@compiled
def pass_on(
    block: IntArray, following: IntArray, machine: IntArray, sums: Array, first: int, images: int, is_last: bool,
    logits: IntArray,
) -> None:  # fmt: skip
    """Turn the sums of a few images into the next block's inputs or, behind the last block, into logits.

    ``sums`` begins the scratch memory, and values are written behind it.
    """
    per_image, padded = block[at.ROWS] * block[at.COLS], block[at.PADDED]
    if is_last:
        for b in range(images):
            for n in range(block[at.OUTPUTS]):
                logits[first + b, n] = sums[b * padded + n]
    else:
        values = sums.ctypes.data + 4 * sums.size
        activate(block, machine[0], sums, values, block[at.SLOPES_MET] + first * per_image * padded)
        pooled = (block[at.ROWS] // block[at.POOL]) * (block[at.COLS] // block[at.POOL]) * block[at.OUTPUTS]
        pool(block, machine[0], values, following[at.INPUTS] + first * pooled, images)
