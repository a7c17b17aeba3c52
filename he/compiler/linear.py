"""Linear maps as sparse rows: the terms that the architecture allows, and no others.

The matrix of a convolution is nearly empty: one of 16 maps of 3 x 3 on 32 x 32 pixels would take 2.1 GB, and has
2.4 million terms.
"""

from __future__ import annotations

from collections.abc import Sequence
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

_BLOCK = 256  # outputs of a product of maps that are made at a time


@dataclass(frozen=True)
class Grid:
    """An image whose pixels are the outputs of a layer.

    Attributes:
        shape: channels, height and width.
        step: the pixels of the network's input from one pixel to the next, vertically and horizontally.
    """

    shape: tuple[int, int, int]
    step: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Pool:
    """The sums of an image's pixels that a map reads, and not each pixel.

    Attributes:
        size: the pixels of a sum, down and across.
        sums: int64 [inputs], the sum of every pixel; -1 for pixels of none.
    """

    size: tuple[int, int]
    sums: np.ndarray


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The map y = weight x + bias, with a term wherever the architecture allows a weight, zero or not.

    The interface follows from the places of terms and not from weights, so it does not tell a client which are zero.

    Attributes:
        inputs: the number of inputs, of all that it reads together.
        starts: int64 [outputs + 1]; the terms of output i are those from `starts[i]` to `starts[i + 1]`.
        columns: int64 [terms], the input of every term, ascending within an output.
        weights: float64 [terms]; integers up to 2^53 are exact.
        bias: float64 [outputs].
        reads: the numbers of the layers whose units are its inputs, one behind the other; -1 is the network's input.
        sizes: the number of units of each of them.
        grid: where its outputs lie in an image; None where they are not pixels.
        pool: the sums that it reads of its only layer; None if it reads each unit. They are of use before units are
            moved.
        period: where its inputs have places, the distance from which on weights repeat: it reads the sums of inputs so
            far apart; 0 if they do not.
        modulus: t, if weights and biases are integers of which residues modulo t are wanted.
    """

    inputs: int
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    reads: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    grid: Grid | None = None
    pool: Pool | None = None
    period: int = 0
    modulus: int | None = None

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
        return replace(self, starts=starts, columns=self.columns[kept], weights=self.weights[kept])

    def part(self, number: int) -> LinearMap:
        """Return the map of what it reads as the `number`-th of its layers, without the bias."""
        begin = sum(self.sizes[:number])
        kept = self.where((self.columns >= begin) & (self.columns < begin + self.sizes[number]))
        return replace(
            kept,
            inputs=self.sizes[number],
            columns=kept.columns - begin,
            bias=np.zeros(self.outputs),
            reads=self.reads[number : number + 1],
            sizes=self.sizes[number : number + 1],
        )

    def moved(self, rows: np.ndarray, outputs: int, columns: np.ndarray, inputs: int) -> LinearMap:
        """Return the map with output i at place `rows[i]` of `outputs`, and input j at place `columns[j]` of `inputs`.

        Places where there was no output have no terms and no bias. Outputs whose place is negative are left out.
        """
        kept = rows[self.rows] >= 0
        at, read, weights = rows[self.rows[kept]], columns[self.columns[kept]], self.weights[kept]
        order = np.argsort(at * inputs + read)  # no output reads an input twice
        starts = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=outputs))])
        bias = np.zeros(outputs)
        bias[rows[rows >= 0]] = self.bias[rows >= 0]
        return replace(
            self, inputs=inputs, starts=starts, columns=read[order], weights=weights[order], bias=bias, grid=None
        )

    @property
    def of_sums(self) -> LinearMap:
        """The map of the sums that it reads; itself where weights do not repeat."""
        if not self.period or self.period == self.inputs:
            return self
        first = self.where(self.columns < self.period)
        return replace(first, inputs=self.period, sizes=(self.period,), period=0)

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return weight x for a vector x [inputs], without the bias: float64 [outputs]."""
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
        counts, columns, weights = [], [], []
        for begin in range(0, other.outputs, _BLOCK):  # many outputs at a time, and few enough for the memory
            end = min(begin + _BLOCK, other.outputs)
            through = slice(int(other.starts[begin]), int(other.starts[end]))
            middle = other.columns[through]
            terms = _ranges(self.starts[middle], lengths[middle])
            row = np.repeat(other.rows[through] - begin, lengths[middle])
            factors = np.repeat(other.weights[through], lengths[middle])
            places, place = np.unique(row * self.inputs + self.columns[terms], return_inverse=True)
            weights.append(_sums(place, factors, self.weights[terms], len(places), other.modulus))
            columns.append(places % self.inputs)
            counts.append(np.bincount(places // self.inputs, minlength=end - begin))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        bias = other.times(self.bias) + other.bias
        read, factors = np.concatenate(columns), np.concatenate(weights)
        return LinearMap(self.inputs, starts, read, factors, bias, modulus=other.modulus)

    @staticmethod
    def sum_of(maps: Sequence[LinearMap]) -> LinearMap:
        """Return the sum of maps of the same inputs and outputs; the bias is that of the first."""
        return _merged(maps, [0] * len(maps), maps[0].inputs)

    @staticmethod
    def beside(maps: Sequence[LinearMap]) -> LinearMap:
        """Return the map of all inputs, one behind the other, to the sum of the outputs; the bias is the first's."""
        offsets = np.cumsum([0, *(m.inputs for m in maps)]).tolist()
        return _merged(maps, offsets[:-1], offsets[-1])

    @staticmethod
    def stacked(maps: Sequence[LinearMap]) -> LinearMap:
        """Return the map of the same inputs whose outputs are those of all maps, one behind the other."""
        starts = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(m.starts) for m in maps]))])
        columns, weights = (np.concatenate([getattr(m, name) for m in maps]) for name in ("columns", "weights"))
        bias = np.concatenate([m.bias for m in maps])
        return LinearMap(maps[0].inputs, starts, columns, weights, bias, modulus=maps[0].modulus)


def linear_map(node: Node, shape: Shape, modulus: int | None = None) -> LinearMap:
    """Return a linear node, whose input has this shape, as a map of flattened values; modulo t, if it is given.

    Raises:
        ParameterError: if it has too many terms.
    """
    made = _plain_map(node, shape, modulus)
    return replace(made, modulus=modulus)


def _plain_map(node: Node, shape: Shape, modulus: int | None) -> LinearMap:
    match node:
        case Dense():
            outputs, inputs = node.weight.shape
            _require_terms(node.weight.size)
            starts, columns = inputs * np.arange(outputs + 1), np.tile(np.arange(inputs), outputs)
            weights, bias = _floats(node.weight, modulus).ravel(), _floats(node.bias, modulus)
            return LinearMap(inputs, starts, columns, weights, bias)
        case Conv2d():
            return _convolution(node, shape, modulus)
        case Scale():
            each, along = np.arange(int(np.prod(shape)) + 1), int(np.prod(shape[1:]))
            weights, bias = (np.repeat(np.broadcast_to(p, shape[:1]), along) for p in (node.weight, node.bias))
            return LinearMap(len(bias), each, each[:-1], _floats(weights, modulus), _floats(bias, modulus))
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


def _convolution(node: Conv2d, shape: Shape, modulus: int | None) -> LinearMap:
    """Return a convolution, group by group: there are no terms between groups."""
    maps, channels, *kernel = node.weight.shape
    _, height, width = shape
    window = Window((kernel[0], kernel[1]), node.strides, node.borders, node.dilations)
    places = _windows((channels, height, width), window, maps)
    group = channels * height * width * np.repeat(np.arange(node.groups), maps // node.groups)
    at = np.where(places >= 0, places + group[:, None, None], -1)  # [maps, windows, taps]
    weights = _floats(node.weight, modulus).reshape(maps, 1, -1)
    return _taps(shape, at, weights, np.repeat(_floats(node.bias, modulus), len(places)))


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


def _merged(maps: Sequence[LinearMap], offsets: Sequence[int], inputs: int) -> LinearMap:
    """Return the sum of maps whose inputs begin at offsets; terms of the same input are added in their order."""
    _require_terms(sum(len(m.columns) for m in maps))
    rows = np.concatenate([m.rows for m in maps])
    columns = np.concatenate([m.columns + offset for m, offset in zip(maps, offsets, strict=True)])
    places, place = np.unique(rows * inputs + columns, return_inverse=True)
    weights = np.bincount(place, np.concatenate([m.weights for m in maps]), minlength=len(places))
    starts = np.concatenate([[0], np.cumsum(np.bincount(places // inputs, minlength=maps[0].outputs))])
    return LinearMap(inputs, starts, places % inputs, weights, maps[0].bias, modulus=maps[0].modulus)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers of all ranges, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _require_terms(terms: int) -> None:
    if terms > MAX_TERMS:
        raise ParameterError(
            f"a linear map must have at most {MAX_TERMS:,} terms, got {terms:,}: make the layer or its input smaller"
        )


def _floats(values: np.ndarray, modulus: int | None) -> np.ndarray:
    """Return parameters as a map holds them: integers below 2^53 are exact, as residues around 0 are."""
    return (values if modulus is None else centred(values, modulus)).astype(np.float64)


def _sums(places: np.ndarray, a: np.ndarray, b: np.ndarray, count: int, modulus: int | None) -> np.ndarray:
    """Return the sums of the products a b by their places, from 0 to count - 1.

    Modulo t, products are cut into halves, of which float64 adds 2^29 exactly.
    """
    if modulus is None:
        return np.bincount(places, a * b, minlength=count)
    a, b = (centred(x.astype(np.int64), modulus) for x in (a, b))
    terms = product(a, b, modulus)
    low, high = (
        np.bincount(places, half, minlength=count).astype(np.int64) for half in (terms & ((1 << 24) - 1), terms >> 24)
    )
    return centred(low + product(high % modulus, 1 << 24, modulus), modulus).astype(np.float64)


def width_of(linear: LinearMap) -> int:
    """Return the width of a period that holds the map's outputs: their number, rounded up to a power of two."""
    return power_of_two(linear.outputs)


def power_of_two(least: int) -> int:
    """Return the smallest power of two that is at least `least`."""
    return 1 << (least - 1).bit_length()
