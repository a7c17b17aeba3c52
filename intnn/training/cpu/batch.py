"""A batch of examples, gathered from a data set, moved by a few pixels and mirrored."""

import numpy as np

from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray


@compiled
def gather(x: Array, chosen: IntArray, changes: IntArray, fill: int, out: Array) -> None:
    """Write out[b, i, j] = x[chosen[b], i - down, j - right], mirrored where asked, and ``fill`` outside the image.

    Args:
        x: uint8 [n, height, width, channels].
        chosen: int64 [batch], the indices of the examples.
        changes: int64 [batch, 3]: pixels down, pixels to the right, and 1 to mirror the image, left and right, first.
        fill: The byte that fills a moved image up.
        out: uint8 [batch, height, width, channels]; the kernel writes the batch here.
    """
    height, width = x.shape[1], x.shape[2]
    for b in range(len(chosen)):
        down, right = max(min(changes[b, 0], height), -height), max(min(changes[b, 1], width), -width)
        image, target = x[chosen[b]], out[b]
        if changes[b, 2]:
            image = image[:, ::-1]
        if down != 0 or right != 0:
            target[:] = np.uint8(fill)
        for i in range(max(down, 0), min(height, height + down)):
            target[i, max(right, 0) : width + min(right, 0)] = image[i - down, max(-right, 0) : width - max(right, 0)]
