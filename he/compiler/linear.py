"""Linear maps as sparse rows: the terms that the architecture allows, and no others.

The matrix of a convolution is nearly empty: one of 16 maps of 3 x 3 on 32 x 32 pixels would take 2.1 GB, and has
2.4 million terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from he.ring.params import ParameterError
from intnn import Conv2d, Dense, Flatten, Node, Shape, SumPool2d

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
            maps, channels, *kernel = node.weight.shape
            places = _windows(shape, (kernel[0], kernel[1]), node.stride, node.padding, maps)
            weights = _floats(node.weight).reshape(maps, 1, -1)
            bias = np.repeat(_floats(node.bias), places.shape[0])
            return _taps(shape, np.broadcast_to(places, (maps, *places.shape)), weights, bias)
        case SumPool2d():
            channels, height, width = shape
            _, down, across = node.output_shape(shape)
            window = _windows((1, height, width), (node.size, node.size), node.step, 0, channels)
            places = height * width * np.arange(channels)[:, None, None] + window
            return _taps(shape, places, np.ones((1, 1, 1)), np.zeros(channels * down * across))
        case Flatten():
            return LinearMap.identity(int(np.prod(shape)))
    raise TypeError(f"a linear layer is due, got {node}")


def _windows(shape: Shape, kernel: tuple[int, int], stride: int, padding: int, maps: int) -> np.ndarray:
    """Return the flat places that every window covers: int64 [windows, taps], -1 in the padding."""
    channels, height, width = shape
    rows, columns = (
        (side + 2 * padding - size) // stride + 1 for side, size in zip((height, width), kernel, strict=True)
    )
    _require_terms(maps * rows * columns * channels * kernel[0] * kernel[1])
    y = (stride * np.arange(rows) - padding)[:, None, None, None, None] + np.arange(kernel[0])[:, None]
    x = (stride * np.arange(columns) - padding)[:, None, None, None] + np.arange(kernel[1])
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
