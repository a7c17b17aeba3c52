"""Nodes in the making: they are collected in order, and tidied up at the end."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import numpy as np

from intnn.convert.errors import ConversionError
from intnn.convert.onnx.values import INPUT, Feature, Pointwise
from intnn.layers.nodes import Activation, Add, Flatten, Reshape, Scale, Shape
from intnn.network.edges import checked_shape
from intnn.values.arrays import FloatArray, IntArray

_GRID = np.concatenate([np.linspace(-12, 12, 481), [-1000.0, -200.0, -40.0, 40.0, 200.0, 1000.0]])
_TOLERANCE = 1e-6  # relative: constants of patterns are float32; GELU and its approximation differ by 4e-4
_MAX_PARAMETERS = 1 << 27  # of all nodes: 1 GB; networks for encrypted inference have a few millions
_LARGEST_PATTERN = 24  # functions in a row without a node between them; GELU's approximation has 9 at most

#: Activations whose values are never negative.
_NEVER_NEGATIVE = ("relu", "sigmoid", "hardsigmoid", "softplus", "square")


class Builder:
    """The nodes of a graph so far, each with the numbers of what it reads."""

    def __init__(self, input_shape: Shape):
        self.input_shape = checked_shape(input_shape, "input_shape")
        self.nodes: list[Any] = []
        self.inputs: list[tuple[int, ...]] = []
        self._shapes: list[Shape] = []
        self._parameters = 0

    def stored_shape(self, number: int) -> Shape:
        """The shape of a node's output, or of the input."""
        return self.input_shape if number == INPUT else self._shapes[number]

    def append(self, node: Any, *sources: Feature, never_negative: bool = False) -> Feature:
        """Add a node that reads values as they are stored; a ValueError says what does not fit."""
        shapes = [self.stored_shape(source.node) for source in sources]
        shape = node.joined_shape(shapes) if hasattr(node, "joined_shape") else node.output_shape(shapes[0])
        shape = checked_shape(shape, "output shape")  # before anybody makes an array of it
        self._parameters += node.weight.size if hasattr(node, "weight") else 0
        if self._parameters > _MAX_PARAMETERS:
            raise ValueError(f"a graph must have at most {_MAX_PARAMETERS} parameters, got more")
        self.nodes.append(node)
        self.inputs.append(tuple(source.node for source in sources))
        self._shapes.append(shape)
        return Feature(len(self.nodes) - 1, shape, never_negative=never_negative)

    def in_shape(self, value: Feature, shape: Shape) -> Feature:
        """The value as a node's output of a shape, in its own order; a transposition must not be pending."""
        if self.stored_shape(value.node) == shape:
            return value.reshaped(shape)
        node = Flatten() if len(shape) == 1 else Reshape(shape)
        return self.append(node, value, never_negative=value.never_negative)

    def activated(self, activation: Activation, value: Feature) -> Feature:
        """An activation of a value; the order of elements stays pending."""
        made = self.append(activation, value, never_negative=activation.name in _NEVER_NEGATIVE)
        return Feature(made.node, value.shape, value.order, made.never_negative)

    def scaled(self, value: Feature, weight: FloatArray, bias: FloatArray) -> Feature:
        """One factor and one offset for all elements, or for each channel of what is stored."""
        made = self.append(Scale(weight, bias), value)
        return Feature(made.node, value.shape, value.order)

    def feature(self, value: Feature | Pointwise) -> Feature:
        """The value as a node's output.

        Raises:
            ConversionError: It is a function that no node computes, alone or together with others.
        """
        if isinstance(value, Feature):
            return value
        if value.made is None:
            value.made = self._made(value)
        return value.made

    def _made(self, value: Pointwise) -> Feature:
        match value.form:
            case Activation():
                return self.activated(value.form, self.feature(value.arguments[0]))
            case (factor, offset):
                return self.scaled(self.feature(value.arguments[0]), np.array([factor]), np.array([offset]))
            case "sum" | "difference":
                first, second = (self.feature(argument) for argument in value.arguments)
                return self.summed(first, second, -1.0 if value.form == "difference" else 1.0)
        return self._without_a_node(value)

    def _without_a_node(self, value: Pointwise) -> NoReturn:
        raise ConversionError(
            value.place,
            "must be a function that a graph has, alone or together with its neighbours",
            "use relu, leaky_relu, elu, gelu, silu, softplus, mish, softsign, tanh, sigmoid, hardtanh or hardswish",
        )

    def scaled_everywhere(self, value: Feature, weight: FloatArray, bias: FloatArray) -> Feature:
        """A factor and an offset for each element, in the value's shape: by channels where that is enough."""
        stored = self.stored_shape(value.node)
        factors, offsets = (self._as_stored(value, parameter) for parameter in (weight, bias))
        by_channel = [parameter.reshape(stored[0], -1) for parameter in (factors, offsets)]
        if all((parameter == parameter[:, :1]).all() for parameter in by_channel):
            return self.scaled(value, *(parameter[:, 0] for parameter in by_channel))
        flat = self.in_shape(value, (factors.size,))
        made = self.append(Scale(factors, offsets), flat)
        return Feature(made.node, value.shape, value.order)

    @staticmethod
    def _as_stored(value: Feature, parameter: FloatArray) -> FloatArray:
        """Numbers for each element of a value, in the order in which its node gives the elements."""
        flat = np.broadcast_to(parameter, value.shape).ravel()
        if value.order is None:
            return flat
        stored = np.empty_like(flat)
        stored[value.order] = flat
        return stored

    def summed(self, first: Feature, second: Feature, sign: float = 1.0) -> Feature:
        """The sum of two values of one shape and one order, or their difference.

        Raises:
            ValueError: They have different shapes or orders.
        """
        if first.shape != second.shape:
            raise ValueError(f"must add values of one shape, got {first.shape} and {second.shape}")
        if not same_order(first.order, second.order):
            raise ValueError("must add values of one order of axes, got one of them transposed")
        if sign != 1:
            second = self.scaled(second, np.array([sign]), np.zeros(1))
        shape = self.stored_shape(first.node)
        second = self.in_shape(second, shape)
        never_negative = first.never_negative and second.never_negative
        made = self.append(Add(), self.in_shape(first, shape), second, never_negative=never_negative)
        return Feature(made.node, first.shape, first.order, never_negative)

    def pointwise(self, value: Pointwise) -> Pointwise:
        """The function; as one activation where it is a known one, and behind nodes where it has become too large."""
        if value.is_complete:
            if len(value.parts) <= _LARGEST_PATTERN:
                return value
            arguments = tuple(self.feature(argument) for argument in value.arguments)
            return Pointwise(value.function, arguments, value.form, value.place)
        found = _recognised(value)
        if found is not None:
            part, activation = found
            return Pointwise(activation.apply, (part,), activation, value.place)
        return value if len(value.parts) <= 2 * _LARGEST_PATTERN else self._without_a_node(value)


def same_order(first: IntArray | None, second: IntArray | None) -> bool:
    """Whether two pending orders of elements are the same."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)


def _recognised(value: Pointwise) -> tuple[Pointwise | Feature, Activation] | None:
    """A known activation that a function of several parts is, and the part of which it is one."""
    for part in value.parts:
        values = value.values(part, _GRID)
        if values is None:
            continue
        for activation, expected in _known():
            if (np.abs(values - expected) <= _TOLERANCE * (1 + np.abs(expected))).all():  # never where one is NaN
                return part, activation
    return None


@cache
def _known() -> list[tuple[Activation, FloatArray]]:
    """Activations that files write as patterns, with their values on the grid."""
    known = [Activation(name) for name in ("gelu", "gelu_tanh", "silu", "hardswish", "mish", "softsign", "square")]
    return [(activation, activation.apply(_GRID)) for activation in known]


def tidied(nodes: Sequence[Any], inputs: Sequence[tuple[int, ...]], output: int) -> tuple[list[Any], list[Any]]:
    """The nodes that lead to an output; of shapes in a row only the last stays.

    Returns:
        The nodes, and for each the numbers of what it reads.
    """
    sources = list(inputs)
    for number, node in enumerate(nodes):
        read = sources[number][0]
        if isinstance(node, Flatten | Reshape) and read != INPUT and isinstance(nodes[read], Flatten | Reshape):
            sources[number] = sources[read]
    alive = {output}
    for number in range(output, INPUT, -1):
        if number in alive:
            alive.update(sources[number])
    order = sorted(alive - {INPUT})
    place = {INPUT: INPUT, **{number: i for i, number in enumerate(order)}}
    return [nodes[i] for i in order], [tuple(place[source] for source in sources[i]) for i in order]
