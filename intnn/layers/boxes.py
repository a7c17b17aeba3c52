"""Boxes through layers: the least and the largest value of every element, for many inputs at once."""

from collections.abc import Callable, Sequence

import numpy as np

from intnn.layers.activations import IntPolynomial, LutActivation, Requantise
from intnn.layers.joins import Join
from intnn.layers.linear import Conv2d, Dense, Flatten, Reshape, Scale
from intnn.layers.pooling import SumPool2d
from intnn.ops import numpy_
from intnn.values.arrays import Array, IntArray, exactly
from intnn.values.lut import Lut

LIMIT = 1 << 63  # what int64 stays below, in magnitude

Box = tuple[Array, Array]  # whole numbers [batch, *shape]: the least, and the largest
Linear = Callable[[Array, Array, Array], Array]  # batch, weight, bias -> batch


def spread(node: object, inputs: Sequence[Box], bound: int) -> Box:
    """Push boxes through a node of an integer network.

    The result is exact per element when the elements of the input vary independently, and the node is no polynomial of
    three terms or more; a border that a convolution pads counts as zero, not as a range.

    Args:
        node: The node.
        inputs: The boxes of every value that it reads; a layer reads one. They lie in a table's domain.
        bound: What no sum of absolute terms within the boxes exceeds.

    Returns:
        The boxes of its output, in the narrowest dtype of `intnn.ops` that holds them, or as Python ints.

    Raises:
        TypeError: The node is not one of an integer network.
    """
    low, high = inputs[0]
    match node:
        case Dense():
            return _linear(numpy_.dense, node.weight, node.bias, inputs[0], bound)
        case Conv2d():
            return _linear(lambda x, w, b: node.convolve(x, w, b, numpy_), node.weight, node.bias, inputs[0], bound)
        case Scale():
            return _linear(Scale.scaled, node.weight, node.bias, inputs[0], bound)
        case SumPool2d():
            kind = _kind(bound)
            return node.apply(exactly(low, kind), numpy_), node.apply(exactly(high, kind), numpy_)
        case Flatten() | Reshape():
            return node.apply(low, numpy_), node.apply(high, numpy_)
        case Requantise():
            first, second = (node.apply(exactly(end, np.int64), numpy_) for end in (low, high))
            return np.minimum(first, second), np.maximum(first, second)  # a negative multiplier turns the order round
        case LutActivation():
            return table_range(node.lut, exactly(low, np.int64), exactly(high, np.int64))
        case IntPolynomial():
            return _polynomial(node, exactly(low, _whole(bound)), exactly(high, _whole(bound)))
        case Join():
            kind = _kind(bound)
            ends = [[exactly(end, kind) for end in box] for box in inputs]
            return node.join([low for low, _ in ends]), node.join([high for _, high in ends])
    kinds = "Dense, Conv2d, Scale, SumPool2d, Flatten, Reshape, Requantise, LutActivation, IntPolynomial or a join"
    raise TypeError(f"must be {kinds}, got {type(node).__name__}")


def table_range(lut: Lut, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """The least and the largest value of a table between two of its points, elementwise, monotone or not."""
    first, last = low - lut.domain.lo, high - lut.domain.lo
    return _window_extremum(np.minimum, lut.table, first, last), _window_extremum(np.maximum, lut.table, first, last)


def _linear(layer: Linear, weight: Array, bias: Array, box: Box, bound: int) -> Box:
    """The ends as middle and reach, both doubled: two products in place of four, of twice the terms."""
    kind = _kind(2 * bound)
    low, high = (exactly(end, kind) for end in box)
    weight, bias = weight.astype(kind), bias.astype(kind)
    middle = layer(low + high, weight, 2 * bias)
    reach = layer(high - low, np.abs(weight), np.zeros_like(bias))
    return (middle - reach) // 2, (middle + reach) // 2


def _polynomial(node: IntPolynomial, low: Array, high: Array) -> Box:
    least_sum, most_sum = (np.full_like(low, node.coefficients[0]) for _ in range(2))
    for exponent, coefficient in enumerate(node.coefficients[1:], 1):
        ends = low**exponent, high**exponent
        least, most = np.minimum(*ends), np.maximum(*ends)
        if exponent % 2 == 0:
            least = np.where((low < 0) & (high > 0), 0, least)
        if coefficient < 0:
            least, most = most, least
        least_sum, most_sum = least_sum + coefficient * least, most_sum + coefficient * most
    return least_sum, most_sum


def _window_extremum(extremum: np.ufunc, table: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """The elementwise extremum(table[first], ..., table[last]), from two overlapping windows of a power of two."""
    length = last - first + 1
    level = np.frexp(length)[1] - 1  # floor(log2(length)); lengths are at most 2**24
    result = np.empty_like(first)
    window = table  # window[i] = extremum of the 2**k values from i
    for k in range(int(level.max()) + 1):
        here = level == k
        result[here] = extremum(window[first[here]], window[last[here] + 1 - (1 << k)])
        window = extremum(window[: -(1 << k)], window[1 << k :])
    return result


def _kind(bound: int) -> type:
    """The fastest dtype in which sums of absolute terms up to a bound are exact."""
    kind: type = numpy_.arithmetic(bound) if bound < LIMIT else object
    return kind


def _whole(bound: int) -> type:
    """The same among integers."""
    return np.int64 if bound < LIMIT else object
