"""The geometry of windows: steps, borders and gaps, the same along both axes of an image or not."""

import math
from typing import Any

import numpy as np

from intnn.values.arrays import Array, integer

Shape = tuple[int, ...]

Sides = int | tuple[int, int]  # vertical, horizontal
Borders = int | tuple[int, int, int, int]  # top, bottom, left, right

LARGEST_WINDOW = 1 << 16  # keeps shapes and index arithmetic far from overflow


def checked_sides(value: Any, name: str) -> Sides:
    """A number of pixels for each axis, as one integer where both are equal.

    Raises:
        TypeError: ``value`` is neither an integer nor a pair of them.
        ValueError: A number is below 1 or far too large, or there are not two.
    """
    return _checked(value, name, 1, 2, "(vertical, horizontal)")  # type: ignore[return-value]


def checked_borders(value: Any, name: str) -> Borders:
    """A number of pixels for each side of an image, as one integer where all are equal; see `checked_sides`."""
    return _checked(value, name, 0, 4, "(top, bottom, left, right)")  # type: ignore[return-value]


def both(sides: Sides) -> tuple[int, int]:
    """The numbers of both axes."""
    return (sides, sides) if isinstance(sides, int) else sides


def all_four(borders: Borders) -> tuple[int, int, int, int]:
    """The numbers of all sides."""
    return (borders,) * 4 if isinstance(borders, int) else borders


def windows(shape: Shape, size: tuple[int, int], stride: Sides, borders: Borders, dilation: Sides = 1) -> Shape:
    """How many windows fit an image of shape (height, width) and its borders along each axis; below 1 if none does."""
    top, bottom, left, right = all_four(borders)
    padded = shape[0] + top + bottom, shape[1] + left + right
    reach = [gap * (side - 1) + 1 for side, gap in zip(size, both(dilation), strict=True)]
    pairs = zip(padded, reach, both(stride), strict=True)
    return tuple((side - window) // step + 1 if side >= window else 0 for side, window, step in pairs)


def bordered(x: Array, borders: Borders, value: float = 0) -> Array:
    """Images [batch, channels, height, width] with a value around them."""
    top, bottom, left, right = all_four(borders)
    if not (top or bottom or left or right):
        return x
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=np.array(value, x.dtype))


def dilated(kernel: Array, dilation: Sides) -> Array:
    """A kernel [..., height, width] with zeros between its taps."""
    down, across = both(dilation)
    if down == across == 1:
        return kernel
    *axes, height, width = kernel.shape
    result = np.zeros((*axes, down * (height - 1) + 1, across * (width - 1) + 1), kernel.dtype)
    result[..., ::down, ::across] = kernel
    return result


def elements(shape: Shape) -> int:
    """The number of elements of an array of this shape."""
    return math.prod(shape)


def _checked(value: Any, name: str, low: int, count: int, order: str) -> int | tuple[int, ...]:
    if not np.iterable(value):
        return integer(value, name, low, LARGEST_WINDOW)
    sides = tuple(integer(side, name, low, LARGEST_WINDOW) for side in value)
    if len(sides) != count:
        raise ValueError(f"`{name}` must be one integer or {count} of them {order}, got {value!r}")
    return sides[0] if len(set(sides)) == 1 else sides
