"""Interval analysis: the exact worst case of every layer, found without an overflow on the way."""

from collections.abc import Callable, Sequence

import numpy as np

from intnn.layers.nodes import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    Node,
    Requantise,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.ops import numpy_
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import Interval

LIMIT = 1 << 63  # every value and every partial sum must stay below, in magnitude

Linear = Callable[[Array, Array, Array], Array]  # batch, weight, bias -> batch


def propagate(node: Node | Join, *inputs: Interval, limit: int | None = LIMIT) -> tuple[Interval, int]:
    """Push the ranges of a node's inputs through the node.

    The range is exact per element when the elements of the input vary independently, and the node is no polynomial of
    three terms or more; a border that a convolution pads counts as zero, not as a range.

    Args:
        node: The node.
        *inputs: The range of every input; a layer has one.
        limit: What every value and partial sum must stay below, in magnitude; None for no limit. Tables and rescalings
            have the limit 2**63 whatever this is.

    Returns:
        The range of the output, and the largest sum of absolute terms (products and bias) that any order of evaluation
        can meet, which also bounds every input and output value.

    Raises:
        TypeError: The node is not one of an integer network.
        ValueError: A sum can reach the limit, or an input can leave a table's domain.
    """
    x, entering = inputs[0], max(interval.magnitude for interval in inputs)
    _require(entering, limit)
    match node:
        case Dense():
            y, total = _linear(numpy_.dense, node.weight, node.bias, x, limit)
        case Conv2d():
            y, total = _linear(lambda x, w, b: node.convolve(x, w, b, numpy_), node.weight, node.bias, x, limit)
        case Scale():
            y, total = _linear(Scale.scaled, node.weight, node.bias, x, limit)
        case SumPool2d():
            total = _require(node.area * entering, limit)
            y = _fitted(*(node.apply(_wide(end, total)[None], numpy_)[0] for end in (x.lo, x.hi)))
        case Flatten() | Reshape():
            y, total = Interval(*(node.apply(end[None], numpy_)[0] for end in (x.lo, x.hi))), 0
        case Requantise():
            y, total = _requantise(node, x)
        case LutActivation():
            y = _table(node, x)
            total = _require(y.magnitude, LIMIT)
        case IntPolynomial():
            y, total = _polynomial(node, x, limit)
        case Add():
            total = _require(sum(interval.magnitude for interval in inputs), limit)
            y = _fitted(*(node.join([_wide(end, total) for end in ends]) for ends in _ends(inputs)))
        case Concatenate():
            y, total = Interval(*(node.join([_wide(e[None], entering) for e in ends])[0] for ends in _ends(inputs))), 0
        case _:
            kinds = (
                "Dense, Conv2d, Scale, SumPool2d, Flatten, Reshape, Requantise, LutActivation, IntPolynomial or a join"
            )
            raise TypeError(f"must be {kinds}, got {type(node).__name__}")
    return y, max(total, entering)


def _linear(layer: Linear, weight: Array, bias: Array, x: Interval, limit: int | None) -> tuple[Interval, int]:
    if weight.dtype != np.int64:
        raise TypeError(f"must have integer parameters, got {weight.dtype}; quantise the network first")

    def evaluate(values: Array, weights: Array, offsets: Array) -> Array:
        return layer(values[None], weights, offsets)[0]

    def worst_case(dtype: type) -> Array:
        # abs() only after the cast: int64 has no 2**63.
        reach = np.maximum(np.abs(x.lo.astype(dtype)), np.abs(x.hi.astype(dtype)))
        return evaluate(reach, np.abs(weight.astype(dtype)), np.abs(bias.astype(dtype)))

    # All terms have one sign, and rounding is monotone: a float64 total below 2**53 had no rounded term and is exact.
    # Python ints are slow, but networks that need them are rare and the bound must be exact.
    dtype: type = object if object in (x.lo.dtype, x.hi.dtype, bias.dtype) else np.float64
    total = worst_case(dtype)
    if dtype is np.float64 and total.max() >= 2.0**53:
        dtype = object
        total = worst_case(dtype)
    bound = _require(int(total.max()), limit)

    positive, negative, zero = np.maximum(weight, 0), np.minimum(weight, 0), np.zeros_like(bias)
    lo: Array = x.lo.astype(dtype)
    hi: Array = x.hi.astype(dtype)
    low = evaluate(lo, positive, bias) + evaluate(hi, negative, zero)
    high = evaluate(hi, positive, bias) + evaluate(lo, negative, zero)
    return _fitted(low, high), bound


def _polynomial(node: IntPolynomial, x: Interval, limit: int | None) -> tuple[Interval, int]:
    reach = x.magnitude
    total = _require(sum(abs(c) * reach**k for k, c in enumerate(node.coefficients)), limit)
    lo, hi = _wide(x.lo, total), _wide(x.hi, total)
    low, high = (np.full_like(lo, node.coefficients[0]) for _ in range(2))
    for exponent, coefficient in enumerate(node.coefficients[1:], 1):
        ends = lo**exponent, hi**exponent
        least, most = np.minimum(*ends), np.maximum(*ends)
        if exponent % 2 == 0:
            least = np.where((lo < 0) & (hi > 0), 0, least)
        if coefficient < 0:
            least, most = most, least
        low, high = low + coefficient * least, high + coefficient * most
    return _fitted(low, high), total


def _requantise(node: Requantise, x: Interval) -> tuple[Interval, int]:
    # These are Python ints, since one multiplier can be near 2**63 and meet an input that is always zero.
    _require(x.magnitude, LIMIT)
    reach = np.maximum(np.abs(x.lo.astype(object)), np.abs(x.hi.astype(object))).reshape(len(x.lo), -1).max(axis=1)
    half = 1 << node.shift >> 1
    total = _require(int((reach * np.abs(node.multiplier.astype(object))).max()) + half, LIMIT)
    # A negative multiplier turns the order round.
    ends = [
        numpy_.requantise(side[None], node.multiplier, node.shift, node.domain.lo, node.domain.hi)[0]
        for side in (x.lo.astype(np.int64), x.hi.astype(np.int64))
    ]
    y = Interval(np.minimum(*ends), np.maximum(*ends))
    return y, max(total, y.hull.magnitude)


def _table(node: LutActivation, x: Interval) -> Interval:
    domain = node.lut.domain
    if not (domain.lo <= x.lo.min() and x.hi.max() <= domain.hi):
        raise ValueError(
            f"must have a table whose domain contains [{x.lo.min()}, {x.hi.max()}], the worst case of its input, got "
            f"{domain}; bound the weights before it or widen the table"
        )
    first, last = x.lo.astype(np.int64) - domain.lo, x.hi.astype(np.int64) - domain.lo
    return Interval(
        _window_extremum(np.minimum, node.lut.table, first, last),
        _window_extremum(np.maximum, node.lut.table, first, last),
    )


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


def _ends(inputs: Sequence[Interval]) -> tuple[list[Array], list[Array]]:
    return [interval.lo for interval in inputs], [interval.hi for interval in inputs]


def _wide(values: Array, bound: int) -> Array:
    """Integers in a dtype that holds sums up to a bound."""
    return values.astype(np.int64 if bound < LIMIT else object, copy=False)


def _fitted(low: Array, high: Array) -> Interval:
    """The interval between exact integers in any dtype, of int64 where these fit."""
    dtype = np.int64 if low.min() >= -LIMIT and high.max() < LIMIT else object
    return Interval(*(_integral(end) if dtype is object else end.astype(np.int64) for end in (low, high)))


def _integral(values: Array) -> Array:
    result = np.empty(values.size, object)
    result[:] = [int(value) for value in values.flat]
    return result.reshape(values.shape)


def _require(bound: int, limit: int | None) -> int:
    if limit is not None and bound >= limit:
        raise ValueError(
            f"must keep every value and partial sum below 2**63, got {bound}; use smaller weights or inputs"
        )
    return bound
