"""The operations of a training step on int64 arrays: bit-equal to `reference`, and free of floats.

numpy multiplies integer matrices without BLAS, so large networks train slowly here.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.training.generator import Key, draws
from intnn.values.arrays import Array, IntArray

Window = tuple[int, int]


def patches(x: Array, window: Window, stride: int, padding: int) -> IntArray:
    """What the kernel sees at every position, [batch, h, w, c] -> [batch, h', w', kh kw c]."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    views = sliding_window_view(padded, window, (1, 2), subok=True)[:, ::stride, ::stride]
    return views.transpose(0, 1, 2, 4, 5, 3).reshape(*views.shape[:3], -1)


def fold(d: Array, shape: tuple[int, ...], window: Window, stride: int, padding: int) -> IntArray:
    """The transpose of `patches`, one offset of the kernel at a time."""
    batch, height, width, channels = shape
    _, rows, cols, _ = d.shape
    image = np.zeros_like(d, shape=(batch, height + 2 * padding, width + 2 * padding, channels))
    parts = d.reshape(batch, rows, cols, *window, channels)
    for u in range(window[0]):
        for v in range(window[1]):
            image[:, u : u + stride * rows : stride, v : v + stride * cols : stride] += parts[:, :, :, u, v]
    return image[:, padding : padding + height, padding : padding + width]


def products(a: Array, b: Array) -> IntArray:
    """The inner product of every row with every row, [m, k], [n, k] -> [m, n]."""
    return a @ b.T


def column_sums(a: Array) -> IntArray:
    """The sum of every column, [m, n] -> [n]."""
    return a.sum(axis=0)


def rescale(x: Array, shift: int) -> IntArray:
    """The integer nearest to x / 2**shift, halves up; a negative shift multiplies."""
    return x << -shift if shift <= 0 else (x + (1 << shift - 1)) >> shift


def saturate(x: Array, low: int, high: int) -> IntArray:
    """The nearest integer in [low, high]."""
    return np.minimum(np.maximum(x, low), high)


def lookup(x: Array, table: IntArray, low: int) -> IntArray:
    """The elementwise table[x - low]."""
    return table[x - low]


def sum_pool(x: Array, size: int) -> IntArray:
    """The sums of windows, [batch, h, w, c] -> [batch, h // size, w // size, c]."""
    batch, height, width, channels = x.shape
    rows, cols = height // size, width // size
    whole = x[:, : rows * size, : cols * size].reshape(batch, rows, size, cols, size, channels)
    return whole.sum(axis=(2, 4))


def spread(e: Array, height: int, width: int, size: int) -> IntArray:
    """The transpose of `sum_pool`."""
    batch, rows, cols, channels = e.shape
    image = np.zeros_like(e, shape=(batch, height, width, channels))
    image[:, : rows * size, : cols * size] = e.repeat(size, axis=1).repeat(size, axis=2)
    return image


def softmax_errors(logits: Array, labels: Array, exponential: IntArray) -> IntArray:
    """The errors 2**15 (softmax - one-hot), [batch, classes], of logits in 1/64 nat and labels [batch]."""
    distance = logits.max(axis=1, keepdims=True) - logits
    weights = exponential[np.minimum(distance, len(exponential) - 1)]
    errors = (weights << 15) // weights.sum(axis=1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= 1 << 15
    return errors


def quantise_errors(d: Array, stream: Key) -> tuple[IntArray, int]:
    """Divide by the smallest power of two that brings every magnitude below 128, rounding at random."""
    shift = max(0, int(np.abs(d).max()).bit_length() - 7)
    noise = draws(stream, d.size).reshape(d.shape) >> (32 - shift)
    return saturate((d + noise) >> shift, -127, 127), shift


def gradient_step(g: Array, dropped: int, mantissa: int, shift: int) -> IntArray:
    """The integer nearest to floor(g / 2**dropped) mantissa / 2**shift, halves up, saturated at 2**27."""
    if shift > 30:
        return np.zeros_like(g)
    limit = 1 << 27 if shift >= 0 else (1 << 27) >> min(-shift, 27)
    product = (g >> dropped) * mantissa
    if shift < 0:  # saturate before a left shift, which could leave int64
        return saturate(product, -limit, limit) << min(-shift, 27)
    return saturate(rescale(product, shift), -limit, limit)
