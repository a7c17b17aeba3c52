"""Linear maps as sparse rows: the terms that the architecture allows, and no others.

The matrix of a convolution is nearly empty: one of 16 maps of 3 x 3 on 32 x 32 pixels would take 2.1 GB, and has
2.4 million terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from he.ring.arithmetic import centred, product
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
        weights: float64 [terms]; or int64, centred modulo t.
        bias: float64 [outputs]; or int64, likewise.
        modulus: t; None for floats.
    """

    inputs: int
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    modulus: int | None = None

    @staticmethod
    def identity(features: int, modulus: int | None = None) -> LinearMap:
        """Return the map that changes nothing."""
        each = np.arange(features + 1)
        ones, zeros = (_numbers(values, modulus) for values in (np.ones(features, int), np.zeros(features, int)))
        return LinearMap(features, each, each[:-1], ones, zeros, modulus)

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
        return replace(self, starts=starts, columns=self.columns[kept], weights=self.weights[kept])

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return weight x for a vector x [inputs], without the bias: [outputs], of the dtype of the weights."""
        return _sums(self.rows, self.weights, x[self.columns], self.outputs, self.modulus)

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
            factors = np.repeat(other.weights[through], lengths[middle])
            columns.append(np.unique(read))
            weights.append(_sums(read, factors, self.weights[terms], self.inputs, self.modulus)[columns[-1]])
        starts = np.cumsum([0, *map(len, columns)])
        bias = _numbers(other.times(self.bias) + other.bias, self.modulus)
        return LinearMap(self.inputs, starts, np.concatenate(columns), np.concatenate(weights), bias, self.modulus)


def linear_map(node: Node, shape: Shape, modulus: int | None = None) -> LinearMap:
    """Return a linear node, whose input has this shape, as a map of flattened values, modulo t if it is given.

    Raises:
        ParameterError: if it has too many terms.
    """
    match node:
        case Dense():
            outputs, inputs = node.weight.shape
            _require_terms(node.weight.size)
            starts, columns = inputs * np.arange(outputs + 1), np.tile(np.arange(inputs), outputs)
            weights, bias = _numbers(node.weight, modulus).ravel(), _numbers(node.bias, modulus)
            return LinearMap(inputs, starts, columns, weights, bias, modulus)
        case Conv2d():
            return _convolution(node, shape, modulus)
        case Scale():
            each, along = np.arange(int(np.prod(shape)) + 1), int(np.prod(shape[1:]))
            weights, bias = (np.repeat(np.broadcast_to(p, shape[:1]), along) for p in (node.weight, node.bias))
            return LinearMap(len(bias), each, each[:-1], _numbers(weights, modulus), _numbers(bias, modulus), modulus)
        case SumPool2d():
            channels, height, width = shape
            _, down, across = node.output_shape(shape)
            geometry = Window(both(node.size), both(node.step), all_four(node.padding))
            window = _windows((1, height, width), geometry, channels)
            places = np.where(window >= 0, height * width * np.arange(channels)[:, None, None] + window, -1)
            return _taps(shape, places, np.ones((1, 1, 1), int), np.zeros(channels * down * across, int), modulus)
        case Flatten() | Reshape():
            return LinearMap.identity(int(np.prod(shape)), modulus)
    raise TypeError(f"a linear layer is due, got {node}")


class Window(NamedTuple):
    """A window that moves over an image: its taps, step, border and gaps; see `intnn.Conv2d`."""

    size: tuple[int, int]
    strides: tuple[int, int]
    borders: tuple[int, int, int, int]
    dilations: tuple[int, int] = (1, 1)


def _convolution(node: Conv2d, shape: Shape, modulus: int | None) -> LinearMap:
    """Return a convolution, group by group: there are no terms between groups."""
    maps, channels, *kernel = node.weight.shape
    _, height, width = shape
    window = Window((kernel[0], kernel[1]), node.strides, node.borders, node.dilations)
    places = _windows((channels, height, width), window, maps)
    group = channels * height * width * np.repeat(np.arange(node.groups), maps // node.groups)
    at = np.where(places >= 0, places + group[:, None, None], -1)  # [maps, windows, taps]
    weights = node.weight.reshape(maps, 1, -1)
    return _taps(shape, at, weights, np.repeat(node.bias, len(places)), modulus)


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


def _taps(shape: Shape, places: np.ndarray, weights: np.ndarray, bias: np.ndarray, modulus: int | None) -> LinearMap:
    """Return the map whose outputs read these places [maps, windows, taps], -1 for none, with weights alike."""
    present = (places >= 0).ravel()
    counts = (places >= 0).sum(axis=2).ravel()
    starts = np.concatenate([[0], np.cumsum(counts)])
    terms, bias = (
        _numbers(values, modulus) for values in (np.broadcast_to(weights, places.shape).ravel()[present], bias)
    )
    return LinearMap(int(np.prod(shape)), starts, places.ravel()[present], terms, bias, modulus)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers of all ranges, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _require_terms(terms: int) -> None:
    if terms > MAX_TERMS:
        raise ParameterError(
            f"a linear map must have at most {MAX_TERMS:,} terms, got {terms:,}: make the layer or its input smaller"
        )


def _numbers(values: np.ndarray, modulus: int | None) -> np.ndarray:
    """Return parameters as a map holds them."""
    return values.astype(np.float64) if modulus is None else centred(values, modulus)


def _sums(places: np.ndarray, a: np.ndarray, b: np.ndarray, count: int, modulus: int | None) -> np.ndarray:
    """Return the sums of the products a b by their places, from 0 to count - 1.

    Modulo t, products are cut into halves of which float64 adds 2^29 exactly.
    """
    if modulus is None:
        return np.bincount(places, a * b, minlength=count)
    terms = product(a.astype(np.int64), b.astype(np.int64), modulus)
    low, high = (
        np.bincount(places, half, minlength=count).astype(np.int64) for half in (terms & ((1 << 24) - 1), terms >> 24)
    )
    return centred(low + product(high % modulus, 1 << 24, modulus), modulus)
