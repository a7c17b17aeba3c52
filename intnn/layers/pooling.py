"""Pooling: windows of an image as one value each."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from intnn.layers.geometry import Borders, Shape, Sides, bordered, both, checked_borders, checked_sides, windows
from intnn.ops import Operations
from intnn.values.arrays import Array
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class _Pool2d(ValueObject):
    """A window that moves over every channel.

    Attributes:
        size: The sides of the window, at least 1: one integer, or (vertical, horizontal).
        stride: The step of the window, alike; ``size`` by default.
        padding: The pixels around the image: one integer for all sides, or (top, bottom, left, right).
    """

    size: Sides
    stride: Sides | None = None
    padding: Borders = 0

    def __post_init__(self) -> None:
        size = checked_sides(self.size, "size")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "stride", size if self.stride is None else checked_sides(self.stride, "stride"))
        object.__setattr__(self, "padding", checked_borders(self.padding, "padding"))

    @property
    def step(self) -> Sides:
        """The stride, which is known once the pool has been made."""
        return self.size if self.stride is None else self.stride

    @property
    def area(self) -> int:
        """The number of pixels of a window."""
        height, width = both(self.size)
        return height * width

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (c, h, w) becomes (c, h', w')."""
        sides = windows(shape[1:], both(self.size), self.step, self.padding) if len(shape) == 3 else (0,)
        if min(sides) < 1:
            down, across = both(self.size)
            raise ValueError(f"{self} must have an image of at least {down} x {across}, got shape {shape}")
        return (shape[0], *sides)


@dataclass(frozen=True)
class SumPool2d(_Pool2d):
    """The sum of every window, with zeros around the image: average pooling without the division.

    Attributes:
        size: The sides of the window, at least 1: one integer, or (vertical, horizontal).
        stride: The step of the window, alike; ``size`` by default.
        padding: The zeros around the image: one integer for all sides, or (top, bottom, left, right).

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is out of range, or there are too few or too many of them.
    """

    @property
    def is_plain(self) -> bool:
        """Whether size and stride are one integer each, and there is no padding."""
        return isinstance(self.size, int) and isinstance(self.step, int) and self.padding == 0

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate [batch, c, h, w] -> [batch, c, h', w']."""
        size, step = self.size, self.step
        if isinstance(size, int) and isinstance(step, int):
            return ops.sum_pool2d(bordered(x, self.padding), size, step)
        (height, width), (down, across) = both(size), both(step)
        rows, columns = windows(x.shape[2:], (height, width), step, self.padding)
        x = bordered(x, self.padding)
        total = np.zeros((*x.shape[:2], rows, columns), x.dtype)
        for i in range(height):
            for j in range(width):
                total += x[:, :, i : i + down * rows : down, j : j + across * columns : across][:, :, :rows, :columns]
        return total


@dataclass(frozen=True)
class MaxPool2d(_Pool2d):
    """The largest value of every window; only float networks have it, and encryption does not.

    Attributes:
        size: The sides of the window, at least 1: one integer, or (vertical, horizontal).
        stride: The step of the window, alike; ``size`` by default.
        padding: The pixels around the image that are never the largest: one integer for all sides, or (top, bottom,
            left, right).

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is out of range, or there are too few or too many of them.
    """

    def apply(self, x: Array, ops: Operations | None = None) -> Array:  # noqa: ARG002 - numpy's own maximum
        """Evaluate [batch, c, h, w] -> [batch, c, h', w']."""
        down, across = both(self.step)
        padded = bordered(x, self.padding, -np.inf)
        return np.asarray(sliding_window_view(padded, both(self.size), (2, 3))[:, :, ::down, ::across].max((4, 5)))
