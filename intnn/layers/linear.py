"""Layers without an activation of their own: dense, convolution, scale, and what only moves values."""

from dataclasses import dataclass

import numpy as np

from intnn.layers.geometry import (
    Borders,
    Shape,
    Sides,
    all_four,
    bordered,
    both,
    checked_borders,
    checked_sides,
    dilated,
    elements,
    windows,
)
from intnn.ops import Operations
from intnn.values.arrays import Array, any_integers, array, frozen, integer, integers, reals
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False, repr=False)
class Dense(ValueObject):
    """A dense layer, y = W x + b.

    Attributes:
        weight: The weights [out, in], integers or finite floats; they are stored read-only as int64 or float64.
        bias: The biases [out], of the same kind; Python ints where one is beyond int64.

    Raises:
        TypeError: The parameters are neither both integers nor both floats.
        ValueError: A shape is wrong or empty, or a value is NaN or infinite, or a weight beyond int64.
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        store_parameters(self, "[out, in]")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (in,) becomes (out,)."""
        out, width = self.weight.shape
        if shape != (width,):
            raise ValueError(f"{self} must have an input of shape ({width},), got {shape}")
        return (out,)

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate [batch, in] -> [batch, out]."""
        return ops.dense(x, self.weight, self.bias)

    def __repr__(self) -> str:
        out, width = self.weight.shape
        return f"Dense({width} -> {out})"


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d(ValueObject):
    """A cross-correlation with zero padding, like torch's Conv2d.

    Attributes:
        weight: The weights [out, in / groups, kh, kw], integers or finite floats; they are stored read-only as int64 or
            float64.
        bias: The biases [out], of the same kind; Python ints where one is beyond int64.
        stride: The step of the window, at least 1: one integer, or (vertical, horizontal).
        padding: The number of zeros, at least 0: one integer for all sides, or (top, bottom, left, right).
        dilation: The distance of neighbouring taps, at least 1: one integer, or (vertical, horizontal).
        groups: The number of groups of channels that are convolved apart, a divisor of ``out``.

    Raises:
        TypeError: The parameters are neither both integers nor both floats.
        ValueError: A shape is wrong or empty, or a value is NaN or infinite, or a weight beyond int64.
    """

    weight: Array
    bias: Array
    stride: Sides = 1
    padding: Borders = 0
    dilation: Sides = 1
    groups: int = 1

    def __post_init__(self) -> None:
        store_parameters(self, "[out, in, kh, kw]")
        object.__setattr__(self, "stride", checked_sides(self.stride, "stride"))
        object.__setattr__(self, "padding", checked_borders(self.padding, "padding"))
        object.__setattr__(self, "dilation", checked_sides(self.dilation, "dilation"))
        object.__setattr__(self, "groups", integer(self.groups, "groups", 1, len(self.weight)))
        if len(self.weight) % self.groups:
            raise ValueError(f"`groups` must divide the {len(self.weight)} outputs, got {self.groups}")

    @property
    def strides(self) -> tuple[int, int]:
        """The step along both axes."""
        return both(self.stride)

    @property
    def borders(self) -> tuple[int, int, int, int]:
        """The padding of all four sides: top, bottom, left, right."""
        return all_four(self.padding)

    @property
    def dilations(self) -> tuple[int, int]:
        """The distance of taps along both axes."""
        return both(self.dilation)

    @property
    def is_plain(self) -> bool:
        """Whether stride and padding are one integer each, and there are neither groups nor dilation."""
        return isinstance(self.stride, int) and isinstance(self.padding, int) and self.dilation == self.groups == 1

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (in, h, w) becomes (out, h', w')."""
        out, inputs, *kernel = self.weight.shape
        channels = inputs * self.groups
        if len(shape) != 3 or shape[0] != channels:
            raise ValueError(f"{self} must have an input of shape ({channels}, height, width), got {shape}")
        sides = windows(shape[1:], (kernel[0], kernel[1]), self.stride, self.padding, self.dilation)
        if min(sides) < 1:
            raise ValueError(f"{self} must have an input at least as large as its window, got {shape}")
        return (out, *sides)

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate [batch, in, h, w] -> [batch, out, h', w']."""
        return self.convolve(x, self.weight, self.bias, ops)

    def convolve(self, x: Array, weight: Array, bias: Array, ops: Operations) -> Array:
        """Evaluate with other parameters of the same shapes."""
        if isinstance(self.stride, int) and isinstance(self.padding, int) and self.dilation == self.groups == 1:
            return ops.conv2d(x, weight, bias, self.stride, self.padding)
        x, weight = bordered(x, self.padding), dilated(weight, self.dilation)
        down, across = self.strides
        step = down if down == across else 1
        inputs, outputs = weight.shape[1], len(weight) // self.groups
        parts = []
        for group in range(self.groups):
            read = x[:, group * inputs : (group + 1) * inputs]
            made = slice(group * outputs, (group + 1) * outputs)
            parts.append(ops.conv2d(read, weight[made], bias[made], step, 0))
        y = np.concatenate(parts, axis=1)
        return y if down == across else np.ascontiguousarray(y[:, :, ::down, ::across])

    def __repr__(self) -> str:
        out, channels, height, width = self.weight.shape
        more = "".join(
            f", {name} {value}" for name, value in (("dilation", self.dilation), ("groups", self.groups)) if value != 1
        )
        return (
            f"Conv2d({channels * self.groups} -> {out}, {height} x {width}, stride {self.stride}, "
            f"padding {self.padding}{more})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Scale(ValueObject):
    """y = weight x + bias, with one factor and one offset for each channel, or for all.

    Attributes:
        weight: The factors of the first axis [channels], or one for all [1]; integers or finite floats, stored
            read-only as int64 or float64.
        bias: The offsets, of the same shape and kind; Python ints where one is beyond int64.

    Raises:
        TypeError: The parameters are neither both integers nor both floats.
        ValueError: A shape is wrong or empty, or a value is NaN or infinite, or a weight beyond int64.
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        store_parameters(self, "[channels]")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        if len(self.weight) not in (1, shape[0]):
            raise ValueError(f"{self} must have an input of {len(self.weight)} channels, got shape {shape}")
        return shape

    def apply(self, x: Array, ops: Operations | None = None) -> Array:  # noqa: ARG002 - numpy's own arithmetic
        """Scale every element of [batch, channels, ...], in the dtype of ``x``."""
        return self.scaled(x, self.weight, self.bias)

    @staticmethod
    def scaled(x: Array, weight: Array, bias: Array) -> Array:
        """Evaluate with other parameters of the same shapes."""
        along = (-1, *[1] * (x.ndim - 2))
        weight, bias = (p.astype(x.dtype, copy=False).reshape(along) for p in (weight, bias))
        return np.asarray(x * weight + bias)

    def __repr__(self) -> str:
        return f"Scale({len(self.weight)} factors)"


@dataclass(frozen=True)
class Reshape(ValueObject):
    """The same values in C order under another shape.

    Attributes:
        shape: The shape of one output, without the batch axis: sides from 1 to 2**31.

    Raises:
        TypeError: ``shape`` is no sequence of integers.
        ValueError: A side is out of range.
    """

    shape: Shape

    def __post_init__(self) -> None:
        if not np.iterable(self.shape):
            raise TypeError(f"`shape` must be a tuple of sides, got {self.shape!r}")
        object.__setattr__(self, "shape", tuple(integer(side, "shape", 1, 1 << 31) for side in self.shape))

    def output_shape(self, shape: Shape) -> Shape:
        """The given shape, if it has as many elements."""
        if elements(shape) != elements(self.shape):
            raise ValueError(f"{self} must have an input of {elements(self.shape)} elements, got shape {shape}")
        return self.shape

    def apply(self, x: Array, ops: Operations | None = None) -> Array:  # noqa: ARG002 - needs no arithmetic
        """Reshape [batch, ...] -> [batch, *shape]."""
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True)
class Flatten(ValueObject):
    """All axes made one, in C order, like torch's Flatten."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (a, b, ...) becomes (a b ...,)."""
        return (elements(shape),)

    def apply(self, x: Array, ops: Operations) -> Array:  # noqa: ARG002 - needs no arithmetic
        """Reshape [batch, a, b, ...] -> [batch, a b ...]."""
        return x.reshape(len(x), -1)


def store_parameters(layer: Dense | Conv2d | Scale, axes: str) -> None:
    """Freeze ``weight`` and ``bias`` as int64 or float64, biases beyond int64 as Python ints; or say what is wrong."""
    weight, bias = array(layer.weight, "weight"), array(layer.bias, "bias")
    convert = reals if weight.dtype.kind == "f" else integers
    weight, bias = convert(weight, "weight"), (reals if convert is reals else any_integers)(bias, "bias")
    if weight.ndim != axes.count(",") + 1 or not weight.size:
        raise ValueError(f"`weight` must have shape {axes} without empty axes, got {weight.shape}")
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"`bias` must have shape {weight.shape[:1]}, one value per output, got {bias.shape}")
    object.__setattr__(layer, "weight", frozen(weight))
    object.__setattr__(layer, "bias", frozen(bias))
