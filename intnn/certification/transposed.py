"""Linear layers backward: coefficients of a layer's outputs as coefficients of what it reads."""

from collections.abc import Sequence

import numpy as np

from intnn.layers.geometry import Shape, all_four, both
from intnn.layers.joins import Add, Concatenate, Join
from intnn.layers.linear import Conv2d, Dense, Flatten, Reshape, Scale
from intnn.layers.nodes import Node
from intnn.layers.pooling import SumPool2d
from intnn.ops import numpy_
from intnn.values.arrays import Array, exactly

LIMIT = 1 << 63


def transposed(node: Node | Join, c: Array, shapes: Sequence[Shape]) -> tuple[Array, list[Array]]:
    """The linear function sum(c y) of a node's outputs y as one of what the node reads.

    Args:
        node: A linear layer or a join.
        c: Whole numbers [rows, *shape of the output], of any dtype that holds them.
        shapes: The shapes of what it reads.

    Returns:
        The constant [rows], and the coefficients [rows, *shape] of everything that it reads. Every sum is exact.

    Raises:
        TypeError: The node is not linear.
    """
    nothing: Array = np.zeros(len(c), np.int64)
    match node:
        case Flatten() | Reshape():
            return nothing, [c.reshape(len(c), *shapes[0])]
        case Add():
            return nothing, [c] * len(shapes)
        case Concatenate():
            return nothing, np.split(c, np.cumsum([shape[0] for shape in shapes])[:-1], axis=1)
        case Dense():
            c, weight, bias = _held(c, node.weight, node.bias)
            return c @ bias, [c @ weight]
        case Scale():
            c, weight, bias = _held(c, node.weight, node.bias)
            along = (-1, *[1] * (c.ndim - 2))
            return _sums(c * bias.reshape(along)), [c * weight.reshape(along)]
        case SumPool2d():
            c, ones = _held(c, np.ones((1, 1, *both(node.size)), np.int64))
            each = c.reshape(-1, 1, *c.shape[2:])  # a channel is an image of its own
            return nothing, [_spread(each, ones, node.step, node.padding, 1, shapes[0][1:]).reshape(len(c), *shapes[0])]
        case Conv2d():
            c, weight, bias = _held(c, node.weight, node.bias)
            outputs = len(weight) // node.groups
            parts = [
                _spread(c[:, made], weight[made], node.stride, node.padding, node.dilation, shapes[0][1:])
                for made in (slice(group * outputs, (group + 1) * outputs) for group in range(node.groups))
            ]
            return c.sum((2, 3)) @ bias, [np.concatenate(parts, axis=1)]
    raise TypeError(f"must be a linear layer or a join, got {type(node).__name__}")


def magnitude(*arrays: Array) -> int:
    """The largest absolute value in arrays of whole numbers; int64 has none of its least number."""
    return max(abs(int(end)) for array in arrays for end in (array.min(), array.max()))


def row_sum(c: Array) -> int:
    """What no sum of a row's magnitudes [rows, ...] exceeds."""
    rows = np.abs(c).reshape(len(c), -1)
    if rows.dtype == object:
        return int(rows.sum(axis=1).max())
    return int(rows.sum(axis=1, dtype=np.float64).max() * (1 + 2.0**-20)) + 1  # floats round, by far less than this


def held(c: Array, factor: int) -> Array:
    """Coefficients in the fastest dtype in which sums of them times magnitudes up to a factor are exact."""
    worst = max(row_sum(c), 1) * max(factor, 1)  # both are held, whatever the other is
    return exactly(c, numpy_.arithmetic(worst) if worst < LIMIT else object)


def _held(c: Array, *parameters: Array) -> tuple[Array, ...]:
    """Coefficients and a layer's parameters in a dtype in which the layer is exact."""
    c = held(c, magnitude(*parameters))
    return c, *(values.astype(c.dtype) for values in parameters)


def _spread(c: Array, weight: Array, stride: object, padding: object, dilation: object, sides: Shape) -> Array:
    """A convolution's coefficients [rows, out, h', w'] back on its image: [rows, in, *sides], tap by tap."""
    (down, across), (gap_down, gap_across) = both(stride), both(dilation)  # type: ignore[arg-type]
    top, bottom, left, right = all_four(padding)  # type: ignore[arg-type]
    (height, width), (rows, columns) = sides, c.shape[2:]
    image = np.zeros((len(c), weight.shape[1], height + top + bottom, width + left + right), c.dtype)
    flat = c.transpose(0, 2, 3, 1)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            places = image[:, :, u * gap_down :, v * gap_across :][:, :, ::down, ::across][:, :, :rows, :columns]
            places += (flat @ weight[:, :, u, v]).transpose(0, 3, 1, 2)
    return image[:, :, top : top + height, left : left + width]


def _sums(c: Array) -> Array:
    return c.reshape(len(c), -1).sum(axis=1)
