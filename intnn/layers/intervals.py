"""Interval analysis: the exact worst case of every layer, found without an overflow on the way."""

from collections.abc import Sequence

import numpy as np

from intnn.layers.boxes import LIMIT, Linear, spread
from intnn.layers.nodes import (
    Add,
    Conv2d,
    Dense,
    IntPolynomial,
    Join,
    LutActivation,
    Node,
    Requantise,
    Scale,
    SumPool2d,
)
from intnn.ops import numpy_
from intnn.values.arrays import Array
from intnn.values.domain import Interval

__all__ = ["LIMIT", "propagate"]  # every value and every partial sum must stay below LIMIT, in magnitude


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
    entering = max(interval.magnitude for interval in inputs)
    _require(entering, limit)
    total = _bound(node, inputs, limit)
    boxes = [(interval.lo[None], interval.hi[None]) for interval in inputs]
    low, high = spread(node, boxes, max(total, entering))
    y = _fitted(low[0], high[0])
    if isinstance(node, LutActivation | Requantise):
        total = max(total, _require(y.magnitude, LIMIT))
    return y, max(total, entering)


def _bound(node: Node | Join, inputs: Sequence[Interval], limit: int | None) -> int:
    """The largest sum of absolute terms; 0 where there are none, or the node is not one of an integer network."""
    x = inputs[0]
    match node:
        case Dense():
            return _linear(numpy_.dense, node.weight, node.bias, x, limit)
        case Conv2d():
            return _linear(lambda x, w, b: node.convolve(x, w, b, numpy_), node.weight, node.bias, x, limit)
        case Scale():
            return _linear(Scale.scaled, node.weight, node.bias, x, limit)
        case SumPool2d():
            return _require(node.area * x.magnitude, limit)
        case Requantise():
            return _requantise(node, x)
        case LutActivation():
            return _table(node, x)
        case IntPolynomial():
            return _require(sum(abs(c) * x.magnitude**k for k, c in enumerate(node.coefficients)), limit)
        case Add():
            return _require(sum(interval.magnitude for interval in inputs), limit)
    return 0


def _linear(layer: Linear, weight: Array, bias: Array, x: Interval, limit: int | None) -> int:
    if weight.dtype != np.int64:
        raise TypeError(f"must have integer parameters, got {weight.dtype}; quantise the network first")

    def worst_case(dtype: type) -> Array:
        # abs() only after the cast: int64 has no 2**63.
        reach = np.maximum(np.abs(x.lo.astype(dtype)), np.abs(x.hi.astype(dtype)))
        return layer(reach[None], np.abs(weight.astype(dtype)), np.abs(bias.astype(dtype)))

    # All terms have one sign, and rounding is monotone: a float64 total below 2**53 had no rounded term and is exact.
    # Python ints are slow, but networks that need them are rare and the bound must be exact.
    dtype: type = object if object in (x.lo.dtype, x.hi.dtype, bias.dtype) else np.float64
    total = worst_case(dtype)
    if dtype is np.float64 and total.max() >= 2.0**53:
        total = worst_case(object)
    return _require(int(total.max()), limit)


def _requantise(node: Requantise, x: Interval) -> int:
    # These are Python ints, since one multiplier can be near 2**63 and meet an input that is always zero.
    _require(x.magnitude, LIMIT)
    reach = np.maximum(np.abs(x.lo.astype(object)), np.abs(x.hi.astype(object))).reshape(len(x.lo), -1).max(axis=1)
    half = 1 << node.shift >> 1
    return _require(int((reach * np.abs(node.multiplier.astype(object))).max()) + half, LIMIT)


def _table(node: LutActivation, x: Interval) -> int:
    domain = node.lut.domain
    if not (domain.lo <= x.lo.min() and x.hi.max() <= domain.hi):
        raise ValueError(
            f"must have a table whose domain contains [{x.lo.min()}, {x.hi.max()}], the worst case of its input, got "
            f"{domain}; bound the weights before it or widen the table"
        )
    return 0


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
