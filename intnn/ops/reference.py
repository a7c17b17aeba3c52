"""The definition of every operation in plain Python integers, which cannot overflow."""

from typing import Any

import numpy as np

from intnn.values.arrays import Array, IntArray


def arithmetic(_bound: int) -> Any:
    """int64, which only carries values here: the arithmetic is Python's own."""
    return np.int64


def _as(x: Array) -> type:
    """int64, or Python ints for an input of these."""
    return object if x.dtype == object else np.int64


def dense(x: Array, w: Array, b: Array) -> IntArray:
    """y[n, o] = sum_i w[o, i] x[n, i] + b[o]."""
    rows, weight, bias = x.tolist(), w.tolist(), b.tolist()
    return np.array(
        [[sum(wi * xi for wi, xi in zip(wo, row, strict=True)) + bo for wo, bo in zip(weight, bias, strict=True)]
         for row in rows],
        _as(x),
    )  # fmt: skip


def conv2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> IntArray:
    """y[n, o, i, j] = sum_cuv w[o, c, u, v] x[n, c, i stride + u - padding, j stride + v - padding] + b[o].

    Terms outside the image are zero.
    """
    batch, channels, height, width = x.shape
    out, _, kernel_height, kernel_width = w.shape
    image, weight, bias = x.tolist(), w.tolist(), b.tolist()

    def value(n: int, o: int, top: int, left: int) -> int:
        return bias[o] + sum(
            weight[o][c][u][v] * image[n][c][top + u][left + v]
            for c in range(channels)
            for u in range(kernel_height)
            if 0 <= top + u < height
            for v in range(kernel_width)
            if 0 <= left + v < width
        )

    tops = range(-padding, height + padding - kernel_height + 1, stride)
    lefts = range(-padding, width + padding - kernel_width + 1, stride)
    return np.array(
        [[[[value(n, o, i, j) for j in lefts] for i in tops] for o in range(out)] for n in range(batch)], _as(x)
    )


def sum_pool2d(x: Array, size: int, stride: int) -> IntArray:
    """y[n, c, i, j] = sum_uv x[n, c, i stride + u, j stride + v] over 0 <= u, v < size."""
    _, _, height, width = x.shape
    tops, lefts = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    return np.array(
        [[[[sum(sum(row[j : j + size]) for row in plane[i : i + size]) for j in lefts] for i in tops]
          for plane in image] for image in x.tolist()],
        _as(x),
    )  # fmt: skip


def requantise(x: Array, multiplier: IntArray, shift: int, lo: int, hi: int) -> IntArray:
    """y[n, c, ...] = min(max(floor((x[n, c, ...] multiplier[c] + 2**(shift - 1)) / 2**shift), lo), hi)."""
    channels = np.arange(x.shape[1]).reshape(1, -1, *[1] * (x.ndim - 2)) % len(multiplier)
    factors = multiplier[np.broadcast_to(channels, x.shape)].ravel().tolist()
    half = 1 << shift >> 1
    values = [(v * m + half) >> shift for v, m in zip(x.ravel().tolist(), factors, strict=True)]
    return np.array([min(max(v, lo), hi) for v in values], np.int64).reshape(x.shape)


def lookup(x: IntArray, table: IntArray, lo: int) -> IntArray:
    """y[...] = table[x[...] - lo]."""
    values = table.tolist()
    return np.array([values[v - lo] for v in x.ravel().tolist()], np.int64).reshape(x.shape)
