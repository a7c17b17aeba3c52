"""A batch of examples, gathered from a data set and moved by a few pixels."""

import numba
import numpy as np

from intnn.arrays import Array, IntArray


@numba.njit(cache=True, nogil=True)
def gather(x: Array, chosen: IntArray, moves: IntArray, fill: int, out: Array) -> None:
    """out[b, i, j] = x[chosen[b], i - moves[b, 0], j - moves[b, 1]], and ``fill`` where that lies outside.

    Args:
        x: uint8 [n, height, width, channels].
        chosen: int64 [batch].
        moves: int64 [batch, 2], down and to the right.
        fill: A byte.
        out: uint8 [batch, height, width, channels], written.
    """
    height, width = x.shape[1], x.shape[2]
    for b in range(len(chosen)):
        down, right = max(min(moves[b, 0], height), -height), max(min(moves[b, 1], width), -width)
        image, target = x[chosen[b]], out[b]
        if down == 0 and right == 0:
            target[:] = image
            continue
        target[:] = np.uint8(fill)
        for i in range(max(down, 0), min(height, height + down)):
            target[i, max(right, 0) : width + min(right, 0)] = image[i - down, max(-right, 0) : width - max(right, 0)]
