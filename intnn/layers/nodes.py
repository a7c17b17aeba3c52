"""The layers of a network, which are the nodes of its chain: linear layers, pooling, activations.

A linear layer holds either float64 parameters (in a `Graph`) or int64 ones (in an `IntNetwork`), never a mixture.
Images are [channels, height, width]; shapes are given without the batch axis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np

from intnn.ops import Operations
from intnn.values.arrays import Array, FloatArray, IntArray, array, frozen, instance, integer, integers, real, reals
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut
from intnn.values.value_object import ValueObject

Shape = tuple[int, ...]


@runtime_checkable
class Node(Protocol):
    """A layer: whatever states its output's shape and evaluates a batch."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the output for an input of ``shape``; both are without the batch axis.

        Raises:
            ValueError: An input of this shape does not fit.
        """

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate a batch [batch, *shape] with a backend's operations; ``x`` is not checked, and stays as it is."""


@dataclass(frozen=True, eq=False, repr=False)
class Dense(ValueObject):
    """A dense layer, y = W x + b.

    Attributes:
        weight: The weights [out, in], integers or finite floats; they are stored read-only as int64 or float64.
        bias: The biases [out], of the same kind.

    Raises:
        TypeError: The parameters are neither both integers nor both floats.
        ValueError: A shape is wrong or empty, or a value is NaN, infinite or beyond int64.
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        _store_parameters(self, "[out, in]")

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
        weight: The weights [out, in, kh, kw], integers or finite floats; they are stored read-only as int64 or float64.
        bias: The biases [out], of the same kind.
        stride: The step of the window in both directions, at least 1.
        padding: The number of zeros on all four sides, at least 0.

    Raises:
        TypeError: The parameters are neither both integers nor both floats.
        ValueError: A shape is wrong or empty, or a value is NaN, infinite or beyond int64.
    """

    weight: Array
    bias: Array
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        _store_parameters(self, "[out, in, kh, kw]")
        object.__setattr__(self, "stride", integer(self.stride, "stride", 1, _LARGEST_WINDOW))
        object.__setattr__(self, "padding", integer(self.padding, "padding", 0, _LARGEST_WINDOW))

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (in, h, w) becomes (out, h', w')."""
        out, channels, *kernel = self.weight.shape
        if len(shape) != 3 or shape[0] != channels:
            raise ValueError(f"{self} must have an input of shape ({channels}, height, width), got {shape}")
        sides = [side + 2 * self.padding - size for side, size in zip(shape[1:], kernel, strict=True)]
        if min(sides) < 0:
            raise ValueError(f"{self} must have an input at least as large as its window, got {shape}")
        return (out, *(side // self.stride + 1 for side in sides))

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate [batch, in, h, w] -> [batch, out, h', w']."""
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def __repr__(self) -> str:
        out, channels, height, width = self.weight.shape
        return f"Conv2d({channels} -> {out}, {height} x {width}, stride {self.stride}, padding {self.padding})"


@dataclass(frozen=True)
class SumPool2d(ValueObject):
    """The sum of every ``size`` x ``size`` window: average pooling without the division.

    Attributes:
        size: The side of the window, at least 1.
        stride: The step of the window; ``size`` by default.
    """

    size: int
    stride: int | None = None

    def __post_init__(self) -> None:
        size = integer(self.size, "size", 1, _LARGEST_WINDOW)
        stride = size if self.stride is None else integer(self.stride, "stride", 1, _LARGEST_WINDOW)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "stride", stride)

    @property
    def step(self) -> int:
        """The stride as a number."""
        return self.size if self.stride is None else self.stride

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (c, h, w) becomes (c, h', w')."""
        if len(shape) != 3 or min(shape[1:]) < self.size:
            raise ValueError(f"{self} must have an image of at least {self.size} x {self.size}, got shape {shape}")
        return (shape[0], *((side - self.size) // self.step + 1 for side in shape[1:]))

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate [batch, c, h, w] -> [batch, c, h', w']."""
        return ops.sum_pool2d(x, self.size, self.step)


@dataclass(frozen=True)
class Flatten(ValueObject):
    """All axes made one, in C order, like torch's Flatten."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (a, b, ...) becomes (a b ...,)."""
        return (int(np.prod(shape)),)

    def apply(self, x: Array, ops: Operations) -> Array:  # noqa: ARG002 - needs no arithmetic
        """Reshape [batch, a, b, ...] -> [batch, a b ...]."""
        return x.reshape(len(x), -1)


@dataclass(frozen=True)
class Activation(ValueObject):
    """An elementwise float function, by name; quantisation turns it into a table.

    Attributes:
        name: "relu", "tanh", "sigmoid", "square" or "polynomial".
        coefficients: The polynomial's coefficients, ascending: c[0] + c[1] x + ...; empty for the other functions.

    Raises:
        ValueError: The name is unknown, or coefficients are missing, superfluous or not finite.
    """

    name: str
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in (*_FUNCTIONS, "polynomial"):
            raise ValueError(f"`name` must be one of {', '.join(_FUNCTIONS)}, polynomial, got {self.name!r}")
        if not np.iterable(self.coefficients):
            raise TypeError(f"`coefficients` must be a sequence of floats, got {self.coefficients!r}")
        coefficients = reals([real(c, "coefficients") for c in self.coefficients], "coefficients")
        if (self.name == "polynomial") != bool(len(coefficients)):
            raise ValueError(f"`coefficients` must be given for a polynomial and only there, got {self.coefficients}")
        object.__setattr__(self, "coefficients", tuple(coefficients.tolist()))

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        return shape

    def apply(self, x: Array, ops: Operations | None = None) -> FloatArray:  # noqa: ARG002 - numpy's own functions
        """Evaluate every element in float64."""
        if self.name == "polynomial":
            return np.asarray(np.polynomial.polynomial.polyval(x, self.coefficients), np.float64)
        return _FUNCTIONS[self.name](x)


@dataclass(frozen=True, eq=False)
class Requantise(ValueObject):
    """y = saturate(floor((x multiplier + 2**(shift - 1)) / 2**shift)): a wide accumulator on a narrow scale.

    The quotient is rounded to the nearest integer, halves up; a ``shift`` of 0 only multiplies. Only integer networks
    have this layer.

    Attributes:
        multiplier: One integer for all elements, or [channels] for the first axis of the input; stored as int64 [1] or
            [channels], read-only.
        shift: The exponent of the divisor 2**shift, in [0, 62].
        domain: The interval in which results saturate; a ring would wrap.

    Raises:
        TypeError: The parameters are not integers.
        ValueError: The shape is wrong or empty, the shift is outside its range, or the domain is a ring.
    """

    multiplier: IntArray
    shift: int
    domain: IntDomain

    def __post_init__(self) -> None:
        multiplier = integers(self.multiplier, "multiplier")
        if multiplier.ndim > 1 or not multiplier.size:
            raise ValueError(f"`multiplier` must be one integer or have shape (channels,), got {multiplier.shape}")
        if instance(self.domain, IntDomain, "domain").modulus is not None:
            raise ValueError(f"`domain` must be an interval, where values saturate, got {self.domain}")
        object.__setattr__(self, "multiplier", frozen(multiplier.reshape(-1)))
        object.__setattr__(self, "shift", integer(self.shift, "shift", 0, _LARGEST_SHIFT))

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        if len(self.multiplier) not in (1, shape[0]):
            raise ValueError(f"{self} must have an input of {len(self.multiplier)} channels, got shape {shape}")
        return shape

    def apply(self, x: Array, ops: Operations) -> Array:
        """Rescale every element of [batch, channels, ...]."""
        return ops.requantise(
            x.astype(np.int64, copy=False), self.multiplier, self.shift, self.domain.lo, self.domain.hi
        )

    def __repr__(self) -> str:
        return f"Requantise({len(self.multiplier)} multipliers, shift {self.shift}, into {self.domain})"


@dataclass(frozen=True)
class LutActivation(ValueObject):
    """One lookup table for every element of its input; only integer networks have it."""

    lut: Lut

    def __post_init__(self) -> None:
        instance(self.lut, Lut, "lut")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the input."""
        return shape

    def apply(self, x: Array, ops: Operations) -> Array:
        """Look every element up; ``x`` must lie in the table's domain."""
        return ops.lookup(x.astype(np.int64, copy=False), self.lut.table, self.lut.domain.lo)


def _sigmoid(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # no exponential that could overflow


_FUNCTIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {"relu": lambda x: np.maximum(x, 0.0), "tanh": np.tanh, "sigmoid": _sigmoid, "square": np.square}
)
_LARGEST_SHIFT = 62  # 2**(shift - 1) and 2**shift are int64
_LARGEST_WINDOW = 1 << 16  # keeps shapes and index arithmetic far from overflow


def _store_parameters(layer: Dense | Conv2d, axes: str) -> None:
    """Freeze ``weight`` and ``bias`` as int64 or float64, or say what is wrong with them."""
    weight, bias = array(layer.weight, "weight"), array(layer.bias, "bias")
    convert = reals if weight.dtype.kind == "f" else integers
    weight, bias = convert(weight, "weight"), convert(bias, "bias")
    if weight.ndim != axes.count(",") + 1 or not weight.size:
        raise ValueError(f"`weight` must have shape {axes} without empty axes, got {weight.shape}")
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"`bias` must have shape {weight.shape[:1]}, one value per output, got {bias.shape}")
    object.__setattr__(layer, "weight", frozen(weight))
    object.__setattr__(layer, "bias", frozen(bias))
