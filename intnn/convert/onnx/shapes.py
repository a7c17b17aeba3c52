"""What moves values without calculating, and what calculates shapes."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from intnn.convert.onnx.call import Call
from intnn.convert.onnx.file import tensor_array
from intnn.convert.onnx.values import Constant, Feature, Value
from intnn.layers.nodes import Concatenate, Shape
from intnn.network.edges import MAX_ELEMENTS
from intnn.values.arrays import Array

_AGAIN = "export the model again"
_FIXED = "export the model with fixed sides; only the batch axis may be open"


def identity(call: Call) -> Value:
    """The operand itself: Identity, and Dropout when nothing is trained."""
    if call.has(2) and np.any(call.constant(2)):
        raise call.refused("must not drop values (training_mode)", "export the model in evaluation mode")
    return call.operand(0)


def cast(call: Call) -> Value:
    """Floats as floats of another width; constants as any number."""
    value = call.operand(0)
    kind = {1: np.float32, 11: np.float64, 6: np.int32, 7: np.int64, 9: np.bool_}.get(call.attribute("to", 0))
    if isinstance(value, Constant) and kind is not None:
        return Constant(value.array.astype(kind), value.of_shape)
    if kind not in (np.float32, np.float64) or isinstance(value, Constant):
        remedy = "leave other types out of the network, and give what integers look up, as embeddings do, as vectors"
        raise call.refused("must cast to float32 or float64", remedy)
    return call.floating(0)


def constant(call: Call) -> Value:
    """The value of a Constant node."""
    for name, value in call.attributes.items():
        if name == "value":
            return Constant(tensor_array(value))
        if name in ("value_float", "value_floats"):
            return Constant(np.array(value, np.float32))
        if name in ("value_int", "value_ints"):
            return Constant(np.array(value, np.int64))
    raise call.refused(f"must hold numbers, got {', '.join(call.attributes) or 'nothing'}", "export the model again")


def constant_of_shape(call: Call) -> Value:
    """An array of one value."""
    sides = call.integers(0)
    if any(side < 0 for side in sides) or math.prod(sides) > MAX_ELEMENTS:
        raise call.refused(f"must have at most {MAX_ELEMENTS} elements, got shape {sides}", "export it again")
    value = call.attribute("value", None)
    return Constant(np.full(sides, np.float32(0) if value is None else tensor_array(value).ravel()[0]))


def shape_of(call: Call) -> Value:
    """The shape of a value, with 0 for the batch axis."""
    call.require("start", 0, _FIXED)
    if "end" in call.attributes:
        raise call.refused("must be of the whole shape", _FIXED)
    value = call.operand(0)
    if isinstance(value, Constant):
        return Constant(np.array(value.array.shape, np.int64))
    shape = value.shape if isinstance(value, Feature) else value.base.shape
    return Constant(np.array((0, *shape), np.int64), of_shape=True)


def gather(call: Call) -> Value:
    """Elements of a shape, or of another constant vector."""
    values, places = known(call, 0), call.constant(1)
    axis = call.axes(call.attribute("axis", 0), max(values.array.ndim, 1))[0]
    if values.array.ndim != 1 or axis or places.ndim > 1:
        raise call.refused("must take elements of a constant vector", _FIXED)
    length = len(values.array)
    if places.dtype.kind not in "iu" or (places < -length).any() or (places >= length).any():
        raise call.refused(f"must take elements within {length} of them", "export the model again")
    return _still(values, values.array[places])


def slice_of(call: Call) -> Value:
    """A part of a shape, or of another constant."""
    values = call.operand(0)
    if not isinstance(values, Constant) or call.opset < 10:
        raise call.refused("must take a part of a constant", "leave slices out of the network")
    starts, ends = call.integers(1), call.integers(2)
    axes = call.axes(call.integers(3) if call.has(3) else list(range(len(starts))), values.array.ndim)
    steps = call.integers(4) if call.has(4) else [1] * len(starts)
    if len(set(axes)) < len(axes) or 0 in steps:
        raise call.refused(f"must take steps other than 0 along axes of their own, got {steps} along {axes}", _AGAIN)
    parts = [slice(None)] * values.array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    return _still(values, values.array[tuple(parts)])


def concat(call: Call) -> Value:
    """Values along their channels, vectors along their only axis, shapes."""
    axis = call.attribute("axis", 1)
    operands = [call.operand(i) for i in range(len(call.operands))]
    if all(isinstance(operand, Constant) for operand in operands):
        known = [operand for operand in operands if isinstance(operand, Constant)]
        if sum(k.array.size for k in known) > MAX_ELEMENTS:
            raise call.refused(f"must give at most {MAX_ELEMENTS} elements", "export the model again")
        return Constant(np.concatenate([k.array for k in known], axis), any(k.of_shape for k in known))
    features = [call.moved(i) for i in range(len(operands))]
    first = features[0]
    if call.axes(axis, 1 + len(first.shape)) != [1] or any(len(f.shape) != len(first.shape) for f in features):
        raise call.refused(f"must be along the channels, got axis {axis}", "concatenate along axis 1")
    if any(feature.steps != first.steps for feature in features):
        raise call.refused("must join values that are quantised alike", "put a DequantizeLinear before it")
    return concatenated(call, features)


def concatenated(call: Call, features: Sequence[Feature]) -> Feature:
    """Values along their first axis; of vectors, orders that are pending go along."""
    orders = [feature.order for feature in features]
    is_pending = any(order is not None for order in orders)
    if is_pending and any(len(feature.shape) > 1 for feature in features):
        raise call.refused("must join values of one order of axes, got one of them transposed", call.transposed)
    made = call.builder.append(Concatenate(), *(call.builder.in_shape(f, f.shape) for f in features))
    joined = None
    if is_pending:
        ends = np.cumsum([0, *(f.shape[0] for f in features)])
        joined = np.concatenate(
            [s + (np.arange(f.shape[0]) if f.order is None else f.order) for s, f in zip(ends, features, strict=False)]
        )
    return Feature(made.node, made.shape, joined, all(f.never_negative for f in features), features[0].steps)


def flatten(call: Call) -> Value:
    """All axes behind the batch axis as one."""
    value = call.moved(0)
    if call.axes(call.attribute("axis", 1), 2 + len(value.shape)) != [1]:
        raise call.refused("must keep the batch axis and flatten the others", "use axis=1")
    return value.reshaped((math.prod(value.shape),))


def reshape(call: Call) -> Value:
    """The same elements in another shape; the batch axis stays first."""
    operand = call.operand(0)
    target = known(call, 1)
    sides = [int(side) for side in target.array.ravel()]
    if isinstance(operand, Constant):
        if call.attribute("allowzero", 0) == 0:
            sides = [operand.array.shape[i] if side == 0 else side for i, side in enumerate(sides)]
        return Constant(operand.array.reshape(sides), operand.of_shape)
    value = call.moved(0)
    if target.of_shape and 0 in sides[1:]:
        raise call.refused("must keep the batch axis first", _FIXED)
    if call.attribute("allowzero", 0) and 0 in sides and not target.of_shape:
        raise call.refused("must not have sides of 0 (allowzero=1)", _FIXED)
    return value.reshaped(_rows(call, value.shape, sides))


def _rows(call: Call, shape: Shape, sides: list[int]) -> Shape:
    """The sides of one row of a reshaped value."""
    size = math.prod(shape)
    problem = call.refused(
        f"must keep the batch axis first and {size} elements behind it, got shape {sides}",
        "reshape to (batch, ...), with 0 or -1 for the batch",
    )
    if len(sides) < 2 or sides[0] not in (0, 1, -1) or any(side < -1 for side in sides):
        raise problem
    rest = [shape[i] if side == 0 and i < len(shape) else side for i, side in enumerate(sides[1:])]
    if sides.count(-1) > 1 or 0 in rest:
        raise problem
    known = math.prod(side for side in rest if side != -1)
    if -1 in rest and size % known == 0:
        rest = [size // known if side == -1 else side for side in rest]
    if -1 in rest or math.prod(rest) != size:
        raise problem
    return tuple(rest)


def squeeze(call: Call) -> Value:
    """Axes of one element left out."""
    operand = call.operand(0)
    given = call.integers(1) if call.has(1) else call.attribute("axes", None)
    if isinstance(operand, Constant):
        axes = tuple(call.axes(given, operand.array.ndim)) if given is not None else None
        return _still(operand, np.squeeze(operand.array, axes))
    value = call.moved(0)
    full = (0, *value.shape)  # the batch may have one row, or more
    axes = tuple(call.axes(given, len(full)) if given is not None else [i for i, side in enumerate(full) if side == 1])
    if any(full[axis] != 1 for axis in axes):
        raise call.refused(f"must leave out axes of one element, and not the batch, got axes {given}", _FIXED)
    left = tuple(side for axis, side in enumerate(full) if axis not in axes)[1:]
    if not left:
        raise call.refused("must leave an axis beside the batch", "keep the last axis of one element")
    return value.reshaped(left)


def unsqueeze(call: Call) -> Value:
    """Axes of one element put in."""
    operand = call.operand(0)
    given = call.integers(1) if call.has(1) else call.attribute("axes", [])
    rank = (operand.array.ndim if isinstance(operand, Constant) else 1 + len(call.moved(0).shape)) + len(given)
    axes = call.axes(given, rank)
    if isinstance(operand, Constant):
        return _still(operand, np.expand_dims(operand.array, tuple(axes)))
    if 0 in axes or len(set(axes)) < len(axes):
        raise call.refused(f"must put axes in behind the batch, got axes {given}", _FIXED)
    sides = iter(call.moved(0).shape)
    return call.moved(0).reshaped(tuple(1 if axis in axes else next(sides) for axis in range(1, rank)))


def transpose(call: Call) -> Value:
    """Axes in another order, which waits for a layer that can take it in, and is none where long axes stay in order."""
    operand = call.operand(0)
    rank = operand.array.ndim if isinstance(operand, Constant) else 1 + len(call.moved(0).shape)
    axes = call.axes(call.attribute("perm", list(range(rank))[::-1]), rank)
    if sorted(axes) != list(range(rank)):
        raise call.refused(f"must have an order of {rank} axes, got {axes}", "export the model again")
    if isinstance(operand, Constant):
        return Constant(operand.array.transpose(axes))
    if axes[0]:
        raise call.refused("must keep the batch axis first", "move other axes alone")
    value = call.moved(0)
    before = np.arange(math.prod(value.shape)) if value.order is None else value.order
    order = before.reshape(value.shape).transpose([axis - 1 for axis in axes[1:]])
    shape, flat = order.shape, order.ravel()
    is_trivial = np.array_equal(flat, np.arange(flat.size))
    return replace(value, shape=shape, order=None if is_trivial else flat)


def known(call: Call, number: int) -> Constant:
    """A constant operand, be it a shape or not."""
    value = call.operand(number)
    if not isinstance(value, Constant):
        raise call.refused(f"must have a constant as operand {number}, got a value of the network", _FIXED)
    return value


def _still(of: Constant, array: Array) -> Constant:
    """A part of a constant; a shape stays one."""
    return Constant(np.asarray(array), of.of_shape)
