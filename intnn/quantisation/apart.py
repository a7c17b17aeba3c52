"""Taps of a convolution that are never in one sum, since what one of them reads is zero wherever the other counts.

A transposed convolution is a convolution of an image with zeros between its pixels. With a stride of two, each of its
sums has a quarter of the taps, and the worst case of a sum is that of a quarter.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.layers.geometry import bordered
from intnn.layers.nodes import Conv2d, Dense
from intnn.values.domain import Interval


def apart(layer: Dense | Conv2d, x: Interval) -> tuple[int, ...]:
    """For every weight of an output the number of its part, where weights of several parts are never in one sum.

    Args:
        layer: The layer.
        x: The range of every element of its input.

    Returns:
        One number from 0 for each weight of a row, in C order; empty where there is one part only.
    """
    if not isinstance(layer, Conv2d):
        return ()
    counts = ((x.lo != 0) | (x.hi != 0)).any(axis=0)
    if counts.all():
        return ()
    (down, across), (height, width) = layer.dilations, layer.weight.shape[2:]
    window = (down * (height - 1) + 1, across * (width - 1) + 1)
    padded = bordered(counts[None, None].astype(np.int8), layer.padding)[0, 0].astype(bool)
    seen = sliding_window_view(padded, window)[:: layer.strides[0], :: layer.strides[1], ::down, ::across]
    taps = height * width
    parts = np.arange(taps)
    for sums in np.unique(seen.reshape(-1, taps), axis=0):
        met = np.isin(parts, parts[sums])  # all taps of the parts that meet in this sum
        parts = np.where(met, parts[met].min(initial=taps), parts)
    _, numbers = np.unique(parts, return_inverse=True)
    if not numbers.any():
        return ()
    return tuple(np.tile(numbers, layer.weight.shape[1]).tolist())
