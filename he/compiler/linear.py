"""Linear maps as sparse rows: the terms that the architecture allows, and no others.

The matrix of a convolution is nearly empty: one of 16 maps of 3 x 3 on 32 x 32 pixels would take 2.1 GB, and has
2.4 million terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from he.ring.params import ParameterError
from intnn import Conv2d, Dense, Flatten, Node, Reshape, Scale, Shape, SumPool2d
from intnn.layers.geometry import all_four, both, windows

#: The most terms of one linear map, fused or not: half a gigabyte.
MAX_TERMS = 1 << 25


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The map y = weight x + bias, with a term wherever the architecture allows a weight, zero or not.

    The interface follows from the places of terms and not from weights, so it does not tell a client which are zero.

    Attributes:
        inputs: the number of inputs.
        starts: int64 [outputs + 1]; the terms of output i are those from `starts[i]` to `starts[i + 1]`.
        columns: int64 [terms], the input of every term, ascending within an output.
        weights: float64 [terms]; integers up to 2^53 are exact.
        bias: float64 [outputs].
    """

    inputs: int
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @staticmethod
    def identity(features: int) -> LinearMap:
        """Return the map that changes nothing."""
        each = np.arange(features + 1)
        return LinearMap(features, each, each[:-1], np.ones(features), np.zeros(features))

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return len(self.bias)

    @cached_property
    def rows(self) -> np.ndarray:
        """The output of every term: int64 [terms]."""
        return np.repeat(np.arange(self.outputs), np.diff(self.starts))

    @property
    def weight(self) -> np.ndarray:
        """The matrix, float64 [outputs, inputs]; only small maps should be asked for it."""
        matrix = np.zeros((self.outputs, self.inputs))
        matrix[self.rows, self.columns] = self.weights
        return matrix

    @property
    def support(self) -> np.ndarray:
        """Where the matrix has terms, bool [outputs, inputs]; only small maps should be asked for it."""
        matrix = np.zeros((self.outputs, self.inputs), bool)
        matrix[self.rows, self.columns] = True
        return matrix

    def row(self, output: int) -> slice:
        """Return where the terms of an output are."""
        return slice(int(self.starts[output]), int(self.starts[output + 1]))

    def where(self, kept: np.ndarray) -> LinearMap:
        """Return the map with those of its terms that are to be kept, bool [terms]."""
        starts = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        return LinearMap(self.inputs, starts, self.columns[kept], self.weights[kept], self.bias)

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return weight x for a vector x [inputs], without the bias: float64 [outputs]."""
        return np.bincount(self.rows, self.weights * x[self.columns], minlength=self.outputs)

    def then(self, other: LinearMap) -> LinearMap:
        """Return the map that applies this one and then `other`.

        Every sum adds its terms in their order: no BLAS decides about the last bit of a weight.

        Raises:
            ParameterError: if it has too many terms.
        """
        lengths = np.diff(self.starts)
        met = np.bincount(other.rows, lengths[other.columns], minlength=other.outputs)
        _require_terms(int(np.minimum(met, self.inputs).sum()))
        columns, weights = [], []
        for output in range(other.outputs):
            through = other.row(output)
            middle = other.columns[through]
            terms = _ranges(self.starts[middle], lengths[middle])
            read = self.columns[terms]
            scaled = np.repeat(other.weights[through], lengths[middle]) * self.weights[terms]
            columns.append(np.unique(read))
            weights.append(np.bincount(read, scaled, minlength=self.inputs)[columns[-1]])
        return _joined(self.inputs, columns, weights, other.times(self.bias) + other.bias)


def linear_map(node: Node, shape: Shape) -> LinearMap:
    """Return a linear node, whose input has this shape, as a map of flattened values.

    Raises:
        ParameterError: if it has too many terms.
    """
    match node:
        case Dense():
            outputs, inputs = node.weight.shape
            _require_terms(node.weight.size)
            starts, columns = inputs * np.arange(outputs + 1), np.tile(np.arange(inputs), outputs)
            return LinearMap(inputs, starts, columns, _floats(node.weight).ravel(), _floats(node.bias))
        case Conv2d():
            return _convolution(node, shape)
        case Scale():
            each, along = np.arange(int(np.prod(shape)) + 1), int(np.prod(shape[1:]))
            weights, bias = (np.repeat(np.broadcast_to(p, shape[:1]), along) for p in (node.weight, node.bias))
            return LinearMap(len(bias), each, each[:-1], _floats(weights), _floats(bias))
        case SumPool2d():
            channels, height, width = shape
            _, down, across = node.output_shape(shape)
            geometry = Window(both(node.size), both(node.step), all_four(node.padding))
            window = _windows((1, height, width), geometry, channels)
            places = np.where(window >= 0, height * width * np.arange(channels)[:, None, None] + window, -1)
            return _taps(shape, places, np.ones((1, 1, 1)), np.zeros(channels * down * across))
        case Flatten() | Reshape():
            return LinearMap.identity(int(np.prod(shape)))
    raise TypeError(f"a linear layer is due, got {node}")


class Window(NamedTuple):
    """A window that moves over an image: its taps, step, border and gaps; see `intnn.Conv2d`."""

    size: tuple[int, int]
    strides: tuple[int, int]
    borders: tuple[int, int, int, int]
    dilations: tuple[int, int] = (1, 1)


def _convolution(node: Conv2d, shape: Shape) -> LinearMap:
    """Return a convolution, group by group: there are no terms between groups."""
    maps, channels, *kernel = node.weight.shape
    _, height, width = shape
    window = Window((kernel[0], kernel[1]), node.strides, node.borders, node.dilations)
    places = _windows((channels, height, width), window, maps)
    group = channels * height * width * np.repeat(np.arange(node.groups), maps // node.groups)
    at = np.where(places >= 0, places + group[:, None, None], -1)  # [maps, windows, taps]
    weights = _floats(node.weight).reshape(maps, 1, -1)
    return _taps(shape, at, weights, np.repeat(_floats(node.bias), len(places)))


def _windows(shape: Shape, window: Window, maps: int) -> np.ndarray:
    """Return the flat places that every window covers: int64 [windows, taps], -1 in the padding."""
    channels, height, width = shape
    rows, columns = windows((height, width), window.size, window.strides, window.borders, window.dilations)
    _require_terms(maps * rows * columns * channels * window.size[0] * window.size[1])
    (down, across), (top, _, left, _), (gap, gap_across) = window.strides, window.borders, window.dilations
    y = (down * np.arange(rows) - top)[:, None, None, None, None] + gap * np.arange(window.size[0])[:, None]
    x = (across * np.arange(columns) - left)[:, None, None, None] + gap_across * np.arange(window.size[1])
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    flat = (np.arange(channels)[:, None, None] * height + y) * width + x  # [row, column, channel, ky, kx]
    return np.where(inside, flat, -1).reshape(rows * columns, -1)


def _taps(shape: Shape, places: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> LinearMap:
    """Return the map whose outputs read these places [maps, windows, taps], -1 for none, with weights alike."""
    present = (places >= 0).ravel()
    counts = (places >= 0).sum(axis=2).ravel()
    starts = np.concatenate([[0], np.cumsum(counts)])
    terms = np.broadcast_to(weights, places.shape).ravel()[present]
    return LinearMap(int(np.prod(shape)), starts, places.ravel()[present], terms, bias)


def _joined(inputs: int, columns: list[np.ndarray], weights: list[np.ndarray], bias: np.ndarray) -> LinearMap:
    starts = np.cumsum([0, *map(len, columns)])
    return LinearMap(inputs, starts, np.concatenate(columns), np.concatenate(weights), bias)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers of all ranges, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _require_terms(terms: int) -> None:
    if terms > MAX_TERMS:
        raise ParameterError(
            f"a linear map must have at most {MAX_TERMS:,} terms, got {terms:,}: make the layer or its input smaller"
        )


def _floats(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)
