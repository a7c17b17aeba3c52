"""Interval analysis: the exact worst case of every layer, found without an overflow on the way."""

from collections.abc import Callable
from functools import partial

import numpy as np

from intnn.layers.nodes import Conv2d, Dense, Flatten, LutActivation, Node, Requantise, SumPool2d
from intnn.ops import numpy_
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import Interval

LIMIT = 1 << 63  # every value and every partial sum must stay below, in magnitude

Linear = Callable[[Array, Array, Array], Array]  # batch, weight, bias -> batch


def propagate(node: Node, x: Interval) -> tuple[Interval, int]:
    """Push the range of a node's input through the node.

    The range is exact per element when the elements of the input vary independently; a border that a convolution pads
    counts as zero, not as a range.

    Returns:
        The range of the output, and the largest sum of absolute terms (products and bias) that any order of evaluation
        can meet, which also bounds every input and output value.

    Raises:
        TypeError: The node is not one of an integer network.
        ValueError: A sum can reach 2**63, or an input can leave a table's domain.
    """
    _require_int64(x.hull.magnitude)
    match node:
        case Dense():
            y, total = _linear(numpy_.dense, node.weight, node.bias, x)
        case Conv2d():
            convolve = partial(numpy_.conv2d, stride=node.stride, padding=node.padding)
            y, total = _linear(convolve, node.weight, node.bias, x)
        case SumPool2d():
            total = _require_int64(node.size**2 * x.hull.magnitude)
            low, high = (numpy_.sum_pool2d(side[None], node.size, node.step)[0] for side in (x.lo, x.hi))
            y = Interval(low, high)
        case Flatten():
            y, total = Interval(x.lo.ravel(), x.hi.ravel()), 0
        case Requantise():
            y, total = _requantise(node, x)
        case LutActivation():
            y = _table(node, x)
            total = _require_int64(y.hull.magnitude)
        case _:
            kinds = "Dense, Conv2d, SumPool2d, Flatten, Requantise or LutActivation"
            raise TypeError(f"must be {kinds}, got {type(node).__name__}")
    return y, max(total, x.hull.magnitude)


def _linear(layer: Linear, weight: Array, bias: Array, x: Interval) -> tuple[Interval, int]:
    if weight.dtype != np.int64:
        raise TypeError(f"must have integer parameters, got {weight.dtype}; quantise the network first")

    def evaluate(values: Array, weights: Array, offsets: Array) -> Array:
        return layer(values[None], weights, offsets)[0]

    def worst_case(dtype: type) -> Array:
        # abs() only after the cast: int64 has no 2**63.
        reach = np.maximum(np.abs(x.lo.astype(dtype)), np.abs(x.hi.astype(dtype)))
        return evaluate(reach, np.abs(weight.astype(dtype)), np.abs(bias.astype(dtype)))

    # All terms have one sign, and rounding is monotone: a float64 total below 2**53 had no rounded term and is exact.
    dtype: type = np.float64
    total = worst_case(dtype)
    if total.max() >= 2.0**53:
        dtype = object  # Python ints are slow, but such networks are rare and the refusal must be exact
        total = worst_case(dtype)
    bound = _require_int64(int(total.max()))

    positive, negative, zero = np.maximum(weight, 0), np.minimum(weight, 0), np.zeros_like(bias)
    lo: Array = x.lo.astype(dtype)
    hi: Array = x.hi.astype(dtype)
    low = evaluate(lo, positive, bias) + evaluate(hi, negative, zero)
    high = evaluate(hi, positive, bias) + evaluate(lo, negative, zero)
    return Interval(low.astype(np.int64), high.astype(np.int64)), bound


def _requantise(node: Requantise, x: Interval) -> tuple[Interval, int]:
    # These are Python ints, since one multiplier can be near 2**63 and meet an input that is always zero.
    reach = np.maximum(np.abs(x.lo.astype(object)), np.abs(x.hi.astype(object))).reshape(len(x.lo), -1).max(axis=1)
    half = 1 << node.shift >> 1
    total = _require_int64(int((reach * np.abs(node.multiplier.astype(object))).max()) + half)
    # A negative multiplier turns the order round.
    ends = [
        numpy_.requantise(side[None], node.multiplier, node.shift, node.domain.lo, node.domain.hi)[0]
        for side in (x.lo, x.hi)
    ]
    y = Interval(np.minimum(*ends), np.maximum(*ends))
    return y, max(total, y.hull.magnitude)


def _table(node: LutActivation, x: Interval) -> Interval:
    domain = node.lut.domain
    if not domain.issuperset(x.hull):
        raise ValueError(
            f"must have a table whose domain contains {x.hull}, the worst case of its input, got {domain}; "
            "bound the weights before it or widen the table"
        )
    first, last = x.lo - domain.lo, x.hi - domain.lo
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


def _require_int64(bound: int) -> int:
    if bound >= LIMIT:
        raise ValueError(
            f"must keep every value and partial sum below 2**63, got {bound}; use smaller weights or inputs"
        )
    return bound
