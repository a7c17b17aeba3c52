"""A linear layer solved anew for what really reaches it: ridge regression towards the weights that it has."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.layers.geometry import bordered
from intnn.layers.nodes import Conv2d, Dense
from intnn.values.arrays import FloatArray

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # parts of the mean square of a feature
ROWS = 20_000  # windows of a convolution that a fit looks at, and at least 4 for each of its weights
ELEMENTS = 1 << 25  # of all these windows
SMALLEST_DEVIATION = 1e-3  # of the largest of a layer's features: one that hardly varies explains nothing
FOLDS, MANY_SAMPLES = 5, 500  # parts of the samples that choose a ridge; of so many samples, one part does


def refitted(layer: Dense | Conv2d, x: FloatArray, target: FloatArray) -> Dense | Conv2d:
    """The layer with weights and biases that bring its outputs on ``x`` closest to ``target``.

    The ridge is the one that does best on samples that the fit has not seen, which then join the others (see `folds`).
    Where none does better there than the layer as it is, that one is returned.

    Args:
        layer: The layer, whose weights the solution is drawn to.
        x: What reaches it, [n, *shape].
        target: What it shall give, [n, *output shape].
    """
    if isinstance(layer, Dense):
        weight, bias = _solved(layer.weight, layer.bias, x, target, len(x))
        return replace(layer, weight=weight, bias=bias)
    outputs = len(layer.weight) // layer.groups
    weights, biases = [], []
    for group, inputs in enumerate(np.split(x, layer.groups, axis=1)):
        part = slice(group * outputs, (group + 1) * outputs)
        weight = layer.weight[part].reshape(outputs, -1)
        rows, values = _windows(layer, inputs, target[:, part])
        solved, bias = _solved(weight, layer.bias[part], rows, values, len(x))
        weights.append(solved.reshape(layer.weight[part].shape))
        biases.append(bias)
    return replace(layer, weight=np.concatenate(weights), bias=np.concatenate(biases))


def _windows(layer: Conv2d, x: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inputs [rows, taps] and targets [rows, outputs] at as many places of every image as a fit needs."""
    (sy, sx), (dy, dx), (kh, kw) = layer.strides, layer.dilations, layer.weight.shape[2:]
    spans = ((kh - 1) * dy + 1, (kw - 1) * dx + 1)
    windows = sliding_window_view(bordered(x, layer.padding), spans, (2, 3))[:, :, ::sy, ::sx, ::dy, ::dx]
    samples, channels, height, width = windows.shape[:4]
    taps = channels * kh * kw
    rows = min(max(ROWS, 4 * taps), ELEMENTS // taps)
    places = min(height * width, -(-rows // samples))
    number = np.argsort(np.random.default_rng(0).random((samples, height * width)), axis=1)[:, :places].ravel()
    image, row, column = np.repeat(np.arange(samples), places), number // width, number % width
    return windows[image, :, row, column].reshape(-1, taps), target[image, :, row, column]


def _solved(
    weight: FloatArray, bias: FloatArray, x: FloatArray, target: FloatArray, samples: int
) -> tuple[FloatArray, FloatArray]:
    """Weights [out, in] and biases [out] for rows [rows, in] and targets [rows, out]; a sample has rows / samples."""
    residual, each = target - x @ weight.T - bias, len(x) // samples
    errors = np.zeros(1 + len(RIDGES))
    for part in folds(samples):
        rows = np.arange(part.start * each, part.stop * each)
        solve = _ridge(np.delete(x, rows, axis=0), np.delete(residual, rows, axis=0))
        errors[0] += np.sum(residual[rows] ** 2)
        for i, ridge in enumerate(RIDGES, 1):
            change, shift = solve(ridge)
            errors[i] += np.sum((residual[rows] - x[rows] @ change - shift) ** 2)
    best = int(np.argmin(errors))
    if not best:
        return weight, bias
    change, shift = _ridge(x, residual)(RIDGES[best - 1])
    return weight + change.T, bias + shift


def folds(samples: int) -> list[slice]:
    """Parts of the samples, each of which judges what the others say; none if there are too few."""
    ends = [samples * i // FOLDS for i in range(FOLDS + 1)]
    parts = [slice(start, stop) for start, stop in pairwise(ends)] if samples >= FOLDS else []
    return parts[-1:] if samples >= MANY_SAMPLES else parts


def standardised(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Features [rows, in] without their means, in units of their deviations; the means [in]; the deviations [in]."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation = np.maximum(deviation, SMALLEST_DEVIATION * deviation.max() or 1.0)
    return (x - mean) / deviation, mean, deviation


def _ridge(x: FloatArray, y: FloatArray) -> Callable[[float], tuple[FloatArray, FloatArray]]:
    """From a ridge to the smallest change [in, out] and the shift [out] that explain y [rows, out] by x [rows, in]."""
    center = y.mean(axis=0)
    (x, mean, deviation), y = standardised(x), y - center
    rows, taps = x.shape
    is_wide = rows < taps  # solved by rows where these are fewer
    gram, right = (x @ x.T, y) if is_wide else (x.T @ x, x.T @ y)

    def solve(ridge: float) -> tuple[FloatArray, FloatArray]:
        solution = np.linalg.solve(gram + rows * ridge * np.eye(len(gram)), right)
        change = (x.T @ solution if is_wide else solution) / deviation[:, None]
        return change, center - mean @ change

    return solve
