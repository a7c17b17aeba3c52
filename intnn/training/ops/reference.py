"""The definition of every operation of a training step in plain Python integers, which cannot overflow.

Arrays only carry values between the operations. `numpy_` has the same functions, bit-equal to these.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from intnn.training.generator import Key, draw
from intnn.values.arrays import Array, IntArray

Window = tuple[int, int]


def patches(x: Array, window: Window, stride: int, padding: int) -> IntArray:
    """What the kernel sees at every position, [batch, h, w, c] -> [batch, h', w', kh kw c], with zeros outside."""
    batch, height, width, channels = x.shape
    image = x.tolist()
    zero = [0] * channels

    def pixel(b: int, i: int, j: int) -> list[int]:
        return image[b][i][j] if 0 <= i < height and 0 <= j < width else zero

    tops = range(-padding, height + padding - window[0] + 1, stride)
    lefts = range(-padding, width + padding - window[1] + 1, stride)
    offsets = list(product(range(window[0]), range(window[1])))
    return np.array(
        [[[[value for u, v in offsets for value in pixel(b, i + u, j + v)] for j in lefts] for i in tops]
         for b in range(batch)],
        np.int64,
    )  # fmt: skip


def fold(d: Array, shape: tuple[int, ...], window: Window, stride: int, padding: int) -> IntArray:
    """The transpose of `patches`: add every patch back onto the image [batch, h, w, c] that it was taken from."""
    batch, height, width, channels = shape
    image = [[[[0] * channels for _ in range(width)] for _ in range(height)] for _ in range(batch)]
    for b, rows in enumerate(d.tolist()):
        for (r, row), (u, v) in product(enumerate(rows), product(range(window[0]), range(window[1]))):
            for c, patch in enumerate(row):
                i, j = r * stride + u - padding, c * stride + v - padding
                if 0 <= i < height and 0 <= j < width:
                    first = (u * window[1] + v) * channels
                    for k in range(channels):
                        image[b][i][j][k] += patch[first + k]
    return np.array(image, np.int64)


def products(a: Array, b: Array) -> IntArray:
    """The inner product of every row with every row, [m, k], [n, k] -> [m, n]."""
    rows, others = a.tolist(), b.tolist()
    return np.array([[sum(p * q for p, q in zip(x, y, strict=True)) for y in others] for x in rows], np.int64)


def column_sums(a: Array) -> IntArray:
    """The sum of every column, [m, n] -> [n]."""
    return np.array([sum(column) for column in zip(*a.tolist(), strict=True)], np.int64)


def rescale(x: Array, shift: int) -> IntArray:
    """The integer nearest to x / 2**shift, halves up; a negative shift multiplies."""
    return _elementwise(lambda v: _rescaled(v, shift), x)


def saturate(x: Array, low: int, high: int) -> IntArray:
    """The nearest integer in [low, high]."""
    return _elementwise(lambda v: min(max(v, low), high), x)


def lookup(x: Array, table: IntArray, low: int) -> IntArray:
    """The elementwise table[x - low]."""
    values = table.tolist()
    return _elementwise(lambda v: values[v - low], x)


def sum_pool(x: Array, size: int) -> IntArray:
    """The sums of windows, [batch, h, w, c] -> [batch, h // size, w // size, c]; what does not fill one is left out."""
    batch, height, width, channels = x.shape
    image = x.tolist()

    def total(b: int, i: int, j: int, c: int) -> int:
        return sum(image[b][i * size + u][j * size + v][c] for u in range(size) for v in range(size))

    return np.array(
        [[[[total(b, i, j, c) for c in range(channels)] for j in range(width // size)] for i in range(height // size)]
         for b in range(batch)],
        np.int64,
    )  # fmt: skip


def spread(e: Array, height: int, width: int, size: int) -> IntArray:
    """The transpose of `sum_pool`: [batch, h', w', c] -> [batch, height, width, c]."""
    batch, rows, cols, channels = e.shape
    image = e.tolist()
    zero = [0] * channels
    return np.array(
        [[[image[b][i // size][j // size] if i // size < rows and j // size < cols else zero for j in range(width)]
          for i in range(height)] for b in range(batch)],
        np.int64,
    )  # fmt: skip


def softmax_errors(logits: Array, labels: Array, exponential: IntArray) -> IntArray:
    """The errors 2**15 (softmax - one-hot), [batch, classes], of logits in 1/64 nat and labels [batch].

    Probabilities are rounded down; differences beyond the table count as its last point.
    """
    table = exponential.tolist()
    errors = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        peak = max(row)
        weights = [table[min(peak - value, len(table) - 1)] for value in row]
        total = sum(weights)
        errors.append([(w << 15) // total - ((c == label) << 15) for c, w in enumerate(weights)])
    return np.array(errors, np.int64)


def quantise_errors(d: Array, stream: Key) -> tuple[IntArray, int]:
    """Divide by the smallest power of two that brings every magnitude below 128, rounding at random.

    Returns:
        floor(d / 2**shift + u), saturated into [-127, 127], where u in [0, 1) is the stream's draw at the element's
        flat position; and the shift.
    """
    values = d.ravel().tolist()
    shift = max(0, max(map(abs, values)).bit_length() - 7)
    rounded = [(v + (draw(stream, i) >> 32 - shift)) >> shift for i, v in enumerate(values)]
    return np.array([min(max(v, -127), 127) for v in rounded], np.int64).reshape(d.shape), shift


def gradient_step(g: Array, dropped: int, mantissa: int, shift: int) -> IntArray:
    """The integer nearest to floor(g / 2**dropped) mantissa / 2**shift, halves up, saturated at 2**27.

    Beyond a shift of 30, where nothing is left of a product of at most 2**30, the result is zero.
    """
    if shift > 30:
        return np.zeros(g.shape, np.int64)
    return _elementwise(lambda v: min(max(_rescaled((v >> dropped) * mantissa, shift), -(1 << 27)), 1 << 27), g)


def _rescaled(v: int, shift: int) -> int:
    return v << -shift if shift <= 0 else (v + (1 << shift - 1)) >> shift


def _elementwise(f: Callable[[int], int], x: Array) -> Any:
    return np.array([f(v) for v in x.ravel().tolist()], np.int64).reshape(x.shape)
