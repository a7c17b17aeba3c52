"""The operations on numpy arrays, in the dtype of ``x``: exact on integers wherever `arithmetic` chose that dtype.

float32 holds every integer below 2**24 and float64 every one below 2**53. So they hold every partial sum of a product
whose absolute terms add up to less, and BLAS computes on integers in whatever order it likes. Python ints (dtype
object) work too and serve the interval analysis of very large accumulators.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.values.arrays import Array, IntArray
from intnn.values.rounding import divide_half_up


def arithmetic(bound: int) -> Any:
    """The fastest dtype in which sums of absolute terms up to ``bound`` are exact."""
    if bound < 1 << 24:
        return np.float32
    return np.float64 if bound < 1 << 53 else np.int64


def dense(x: Array, w: Array, b: Array) -> Array:
    """The layer as one matrix product."""
    return x @ w.astype(x.dtype, copy=False).T + b.astype(x.dtype, copy=False)


def conv2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The layer as im2col and one matrix product."""
    out, channels, kernel_height, kernel_width = w.shape
    zero = np.zeros((), x.dtype)  # of the same kind, or Python integers would meet numpy's
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=zero)
    windows = sliding_window_view(padded, (kernel_height, kernel_width), (2, 3))[:, :, ::stride, ::stride]
    batch, _, height, width = windows.shape[:4]
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
        batch * height * width, channels * kernel_height * kernel_width
    )
    y = dense(columns, w.reshape(out, -1), b)
    return np.ascontiguousarray(y.reshape(batch, height, width, out).transpose(0, 3, 1, 2))


def sum_pool2d(x: Array, size: int, stride: int) -> Array:
    """The layer as a sum of strided slices, one for each offset in the window."""
    height, width = (x.shape[axis] - size + 1 for axis in (2, 3))
    slices = [x[:, :, i : i + height : stride, j : j + width : stride] for i in range(size) for j in range(size)]
    total = slices[0].copy()
    for term in slices[1:]:
        total += term
    return total


def requantise(x: IntArray, multiplier: IntArray, shift: int, lo: int, hi: int) -> IntArray:
    """The rescaling of every element in int64."""
    factors = multiplier.reshape(-1, *[1] * (x.ndim - 2))
    return np.clip(divide_half_up(x * factors, 1 << shift), lo, hi)


def lookup(x: IntArray, table: IntArray, lo: int) -> IntArray:
    """The lookup as one gather."""
    return table[x - lo]
