"""The operations as portable loops over int64, which Numba compiles on first use and caches on disk."""

from typing import Any

import numpy as np

from intnn.machine.jit import compiled
from intnn.values.arrays import Array, IntArray


def arithmetic(_bound: int) -> Any:
    """int64, which holds every accumulator that a network may have."""
    return np.int64


@compiled
def dense(x: Array, w: Array, b: Array) -> Array:
    """The product row by row, with both operands read along their last axis."""
    batch, width = x.shape
    out = w.shape[0]
    y = np.empty((batch, out), np.int64)
    for n in range(batch):
        for o in range(out):
            total = b[o]
            for i in range(width):
                total += w[o, i] * x[n, i]
            y[n, o] = total
    return y


@compiled
def conv2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The sum of one weight at a time over the part of the output that it reaches: no pixel is tested for a border."""
    batch, channels, height, width = x.shape
    out, _, kernel_height, kernel_width = w.shape
    rows = (height + 2 * padding - kernel_height) // stride + 1
    cols = (width + 2 * padding - kernel_width) // stride + 1
    y = np.empty((batch, out, rows, cols), np.int64)
    for n in range(batch):
        for o in range(out):
            y[n, o, :, :] = b[o]
            for c in range(channels):
                for u in range(kernel_height):
                    first_row = max(0, -((u - padding) // stride))
                    last_row = min(rows, (height - 1 - u + padding) // stride + 1)
                    for v in range(kernel_width):
                        first_col = max(0, -((v - padding) // stride))
                        last_col = min(cols, (width - 1 - v + padding) // stride + 1)
                        weight = w[o, c, u, v]
                        for i in range(first_row, last_row):
                            for j in range(first_col, last_col):
                                y[n, o, i, j] += weight * x[n, c, i * stride + u - padding, j * stride + v - padding]
    return y


@compiled
def sum_pool2d(x: Array, size: int, stride: int) -> Array:
    """The sums window by window."""
    batch, channels, height, width = x.shape
    rows, cols = (height - size) // stride + 1, (width - size) // stride + 1
    y = np.zeros((batch, channels, rows, cols), np.int64)
    for n in range(batch):
        for c in range(channels):
            for i in range(rows):
                for j in range(cols):
                    for u in range(size):
                        for v in range(size):
                            y[n, c, i, j] += x[n, c, i * stride + u, j * stride + v]
    return y


@compiled
def _requantise(x: IntArray, multiplier: IntArray, shift: int, lo: int, hi: int) -> IntArray:
    batch, channels, size = x.shape
    half = np.int64(1) << shift >> 1
    y = np.empty_like(x)
    for n in range(batch):
        for c in range(channels):
            factor = multiplier[c % len(multiplier)]
            for i in range(size):
                y[n, c, i] = min(max((x[n, c, i] * factor + half) >> shift, lo), hi)
    return y


def requantise(x: IntArray, multiplier: IntArray, shift: int, lo: int, hi: int) -> IntArray:
    """The rescaling element by element, as [batch, channels, rest], which serves every shape."""
    rows = np.ascontiguousarray(x).reshape(*x.shape[:2], -1)
    return _requantise(rows, multiplier, shift, lo, hi).reshape(x.shape)


@compiled
def _lookup(x: IntArray, table: IntArray, lo: int) -> IntArray:
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = table[x[i] - lo]
    return y


def lookup(x: IntArray, table: IntArray, lo: int) -> IntArray:
    """The lookup element by element; ``x`` is flattened first, so that one compilation serves every shape."""
    return _lookup(x.ravel(), table, lo).reshape(x.shape)
