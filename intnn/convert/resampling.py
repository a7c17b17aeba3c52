"""Images of another size, by nodes that a graph has: zeros put between pixels, and sums of windows.

A pool of one pixel whose border is padded puts zeros behind every value, if every value has been made an image of its
own. Behind such zeros a convolution is a transposed one, and a window that holds one value takes this value. Nothing is
weighted but what the network itself weighs, so that nothing is rounded when integers take the place of floats; and of
the zeros none is left where linear layers are fused.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, TypeVar

import numpy as np

from intnn.layers.geometry import dilated
from intnn.layers.nodes import Add, Conv2d, MaxPool2d, Reshape, SumPool2d
from intnn.network.edges import checked_shape
from intnn.values.arrays import FloatArray, IntArray

T = TypeVar("T")

#: Writes a node down behind the values that it reads, and returns what it gives.
Append = Callable[..., T]

Image = tuple[int, int, int]  # channels, height, width

_MOST_PARTS = 256  # of a pixel


class Side(NamedTuple):
    """A transposed convolution along one axis.

    Attributes:
        stride: The pixels of the output from one pixel of the input to the next.
        before: How many pixels of the output are left out at its beginning.
        after: How many are left out at its end; a negative number adds some.
        dilation: The pixels of the output from one tap to the next.
    """

    stride: int
    before: int
    after: int
    dilation: int


def transposed_convolution(
    append: Append[T],
    image: T,
    shape: Image,
    weight: FloatArray,
    bias: FloatArray,
    sides: tuple[Side, Side],
    groups: int,
) -> T:
    """A convolution that spreads every pixel over a window of a larger image, like torch's ConvTranspose2d.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        weight: The weights [in, out / groups, height, width].
        bias: The biases [out].
        sides: How far apart the windows are, vertically and horizontally.
        groups: The number of groups of channels that are convolved apart.

    Returns:
        The value [out, height', width'].

    Raises:
        ValueError: Weights and image do not fit, or nothing is left of the output.
    """
    if weight.shape[0] != shape[0] or not 1 <= groups <= shape[0] or shape[0] % groups:
        raise ValueError(f"must have weights for {shape[0]} channels in {groups} groups, got shape {weight.shape}")
    inputs, outputs, *window = weight.shape
    grouped = weight.reshape(groups, inputs // groups, outputs, *window).swapaxes(1, 2)
    kernel = grouped.reshape(groups * outputs, inputs // groups, *window)[:, :, ::-1, ::-1]
    offsets, borders = [], []
    for side, taps in zip(sides, window, strict=True):
        reach = side.dilation * (taps - 1)
        first, last = reach - side.before, reach - side.after - (side.stride - 1)
        offset = min(max(0, -last if first + last >= 0 else first), side.stride - 1)  # so that no border is negative
        offsets.append(offset)
        borders.append((first - offset, last + offset))
    spread = spaced(append, image, shape, (sides[0].stride, sides[1].stride), (offsets[0], offsets[1]))
    dilation = (sides[0].dilation, sides[1].dilation)
    if min(min(pair) for pair in borders) < 0:  # a tap of weight zero leaves a pixel of the output out
        more = [[max(-end, 0) for end in pair] for pair in borders]
        taps = [
            side.dilation * (taps - 1) + 1 + sum(ends) for side, taps, ends in zip(sides, window, more, strict=True)
        ]
        checked_shape((*kernel.shape[:2], *taps), "kernel")  # before anybody makes an array of it
        kernel, dilation = np.pad(dilated(kernel, dilation), [(0, 0), (0, 0), *more]), (1, 1)
    (top, bottom), (left, right) = ((max(start, 0), max(end, 0)) for start, end in borders)
    node = Conv2d(np.ascontiguousarray(kernel), bias, 1, (top, bottom, left, right), dilation, groups)
    return append(node, spread)


def spaced(append: Append[T], image: T, shape: Image, parts: tuple[int, int], offsets: tuple[int, int]) -> T:
    """An image whose every pixel has become a cell of zeros, with the pixel in it.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        parts: The height and the width of a cell, at least 1.
        offsets: The place of the pixel in its cell.

    Returns:
        The value [channels, height * parts[0], width * parts[1]].
    """
    channels, height, width = shape
    (down, across), (above, before) = parts, offsets
    if across > 1:
        image = append(Reshape((channels * height, width, 1)), image)
        image = append(SumPool2d(1, 1, (0, 0, before, across - 1 - before)), image)
        width *= across
    if down > 1:
        image = append(Reshape((channels * height, 1, width)), image)
        image = append(SumPool2d(1, 1, (above, down - 1 - above, 0, 0)), image)
        height *= down
    return append(Reshape((channels, height, width)), image) if down > 1 or across > 1 else image


class Points(NamedTuple):
    """Points of an axis: the i-th lies (i * step + start) / parts pixels behind the first pixel.

    Attributes:
        parts: The parts of a pixel, at least 1.
        step: The parts from one point to the next, at least 1.
        start: The place of the first point, in parts.
        points: The number of points, at least 1.
    """

    parts: int
    step: int
    start: int
    points: int

    @classmethod
    def of_indices(cls, indices: IntArray) -> "Points | None":
        """Points that lie in pixels of these numbers, which do not fall; None where their distances are not even."""
        each, last = np.arange(len(indices)), len(indices) - 1
        if not last:
            return cls(1, 1, int(indices[0]), 1)
        for parts in range(1, _MOST_PARTS + 1):
            far = parts * int(indices[-1] - indices[0])
            for step in range(max(1, (far - parts) // last), (far + parts) // last + 1):
                least = int((parts * indices - step * each).max())
                if least <= int((parts * indices - step * each).min()) + parts - 1:
                    return cls(parts, step, least, len(indices))
        return None

    @classmethod
    def at(cls, first: Fraction, step: Fraction, count: int) -> "Points | None":
        """Points from a place on, at a distance, in pixels; None where they have too many parts."""
        parts = math.lcm(first.denominator, step.denominator)
        if parts > _MOST_PARTS or step <= 0:
            return None
        return cls(parts, int(step * parts), int(first * parts), count)


def nearest(append: Append[T], image: T, shape: Image, points: tuple[Points, Points]) -> T:
    """The pixels in which points lie.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        points: The points along both axes, less than a pixel outside the image at most.

    Returns:
        The value [channels, points, points]; beyond the image its border goes on.
    """
    for axis, (parts, step, start, count) in enumerate(points):
        before, after = start < 0, (step * (count - 1) + start) // parts >= shape[1 + axis]
        if before or after:
            image, shape = _with_borders(append, image, shape, axis, before, after)
            moved = points[axis]._replace(start=start + before * parts)
            points = (moved, points[1]) if axis == 0 else (points[0], moved)
    channels = shape[0]
    firsts = [axis.start // axis.parts for axis in points]
    lasts = [(axis.step * (axis.points - 1) + axis.start) // axis.parts for axis in points]
    kept = [last + 1 - first for first, last in zip(firsts, lasts, strict=True)]
    image = cropped(append, image, shape, (firsts[0], firsts[1]), (kept[0], kept[1]))
    sides, (v, h) = kept, (axis._replace(start=axis.start % axis.parts) for axis in points)
    if any(axis.parts > 1 or axis.step > 1 for axis in (v, h)):
        offsets = (v.parts - 1 - v.start, h.parts - 1 - h.start)
        image = spaced(append, image, (channels, sides[0], sides[1]), (v.parts, h.parts), offsets)
        lengths = [axis.parts * side for axis, side in zip((v, h), sides, strict=True)]
        below, right = (_missing(axis, length, 1) for axis, length in zip((v, h), lengths, strict=True))
        image = append(SumPool2d((v.parts, h.parts), (v.step, h.step), (0, below, 0, right)), image)
        sides = [_windows(axis, length + end, 1)
                 for axis, length, end in zip((v, h), lengths, (below, right), strict=True)]  # fmt: skip
    return cropped(append, image, (channels, sides[0], sides[1]), (0, 0), (v.points, h.points))


def linear(append: Append[T], image: T, shape: Image, points: tuple[Points, Points]) -> tuple[T, int]:
    """The pixels on both sides of points, by their distances; beyond the image its border goes on.

    A window of ``parts`` zeros and pixels, and another one over its sums, weight pixels by a triangle.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        points: The points along both axes, less than a pixel outside the image at most.

    Returns:
        The value [channels, points, points], and how many times too large it is.
    """
    factor = 1
    for axis, along in enumerate(points):
        image, shape = _linear_along(append, image, shape, axis, along)
        factor *= along.parts
    return image, factor


def _linear_along(append: Append[T], image: T, shape: Image, axis: int, points: Points) -> tuple[T, Image]:
    parts, step, start, count = points
    last, length = step * (count - 1) + start, shape[1 + axis]
    before, after = start < 0, last > parts * (length - 1)
    if before or after:
        image, shape = _with_borders(append, image, shape, axis, before, after)
        start, last, length = start + before * parts, last + before * parts, shape[1 + axis]
    first, end = start // parts, min(last // parts + 2, length)
    image, shape = _kept(append, image, shape, axis, first, end - first)
    points = Points(parts, step, start % parts, count)
    if parts > 1 or step > 1:
        image = spaced(append, image, shape, _on(axis, parts, 1), (0, 0))
        top, length = parts - 1 - points.start, parts * shape[1 + axis]
        bottom = _missing(points, length + top, 2)
        image = append(SumPool2d(_on(axis, parts, 1), 1, _ends(axis, top, bottom)), image)
        image = append(SumPool2d(_on(axis, parts, 1), _on(axis, step, 1)), image)
        shape = _with_side(shape, axis, _windows(points, length + top + bottom, 2))
    return _kept(append, image, shape, axis, 0, count)


def adaptive_sums(append: Append[T], image: T, shape: Image, counts: tuple[int, int]) -> tuple[T, IntArray]:
    """Sums of windows as adaptive pools have them: the i-th of m windows on n pixels holds all that it touches of them.

    That is the pixels from floor(i n / m) to ceil((i + 1) n / m), so that sizes differ where m does not divide n.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        counts: The number of windows, vertically and horizontally.

    Returns:
        The value [channels, *counts], and how many pixels each sum has, [*counts].
    """
    parts, steps = _touched(shape, counts)
    spread = spaced(append, image, shape, parts, (0, 0))
    size = (steps[0] + parts[0] - 1, steps[1] + parts[1] - 1)
    sums = append(SumPool2d(size, steps, (parts[0] - 1, 0, parts[1] - 1, 0)), spread)
    held = []
    for side, count in zip(shape[1:], counts, strict=True):
        i = np.arange(count)
        held.append(-(-(i + 1) * side // count) - i * side // count)
    return sums, np.outer(*held)


def adaptive_maxima(append: Append[T], image: T, shape: Image, counts: tuple[int, int]) -> T:
    """The largest values of the windows of `adaptive_sums`: of parts of pixels, where every window has as many."""
    parts, steps = _touched(shape, counts)
    channels, height, width = shape
    vertical, horizontal = (Points(p, 1, 0, p * side) for p, side in zip(parts, (height, width), strict=True))
    return append(MaxPool2d(steps, steps), nearest(append, image, (channels, height, width), (vertical, horizontal)))


def _touched(shape: Image, counts: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The parts of a pixel, and those of a window, where windows divide an image evenly."""
    common = [math.gcd(side, count) for side, count in zip(shape[1:], counts, strict=True)]
    return (counts[0] // common[0], counts[1] // common[1]), (shape[1] // common[0], shape[2] // common[1])


def cropped(append: Append[T], image: T, shape: Image, start: tuple[int, int], size: tuple[int, int]) -> T:
    """A part of an image.

    Args:
        append: Where nodes are written down.
        image: The value that is read.
        shape: Its shape.
        start: The row and the column of the part's first pixel.
        size: The part's height and width.

    Returns:
        The value [channels, *size].
    """
    for axis in (0, 1):
        image, shape = _kept(append, image, shape, axis, start[axis], size[axis])
    return image


def _kept(append: Append[T], image: T, shape: Image, axis: int, start: int, count: int) -> tuple[T, Image]:
    """The pixels of an axis from one on: the image is cut in blocks of as many, of which every n-th is taken."""
    channels, height, width = shape
    length = shape[1 + axis]
    if (start, count) == (0, length):
        return image, shape
    before = -start % count
    after = -(before + length) % count
    if before or after:
        image = append(SumPool2d(1, 1, _ends(axis, before, after)), image)
    blocks, number = (before + length + after) // count, (before + start) // count
    rows = (channels, blocks, count * width) if axis == 0 else (channels * height, blocks, count)
    image = append(Reshape(rows), image)
    image = append(SumPool2d(1, (blocks, 1), (-number % blocks, 0, 0, 0)), image)
    if number:  # behind a row of zeros
        image = append(SumPool2d((2, 1), 1), image)
    shape = _with_side(shape, axis, count)
    return append(Reshape(shape), image), shape


def _with_borders(append: Append[T], image: T, shape: Image, axis: int, before: bool, after: bool) -> tuple[T, Image]:
    """An image whose first and last pixels of an axis go on by one: its own and those, each among zeros, added."""
    length = shape[1 + axis]
    far = length + before + after
    parts = [append(SumPool2d(1, 1, _ends(axis, int(before), int(after))), image)]
    if before:
        first = append(SumPool2d(1, _on(axis, length, 1)), image)
        parts.append(append(SumPool2d(1, 1, _ends(axis, 0, far - 1)), first))
    if after:
        last = append(SumPool2d(1, _on(axis, length, 1), _ends(axis, 1, 0)), image)  # behind a zero
        parts.append(append(SumPool2d(1, 1, _ends(axis, far - 2, 0)), last))
    return append(Add(), *parts), _with_side(shape, axis, far)


def _missing(points: Points, length: int, sums: int) -> int:
    """What a side of so many parts lacks for all points, each of which is in so many windows one after the other."""
    return max(0, points.step * (points.points - 1) + sums * (points.parts - 1) + 1 - length)


def _windows(points: Points, length: int, sums: int) -> int:
    """The number of windows on a side of so many parts."""
    return (length - sums * (points.parts - 1) - 1) // points.step + 1


def _on(axis: int, number: int, other: int) -> tuple[int, int]:
    """A number for one axis, and another for the other one."""
    return (number, other) if axis == 0 else (other, number)


def _ends(axis: int, before: int, after: int) -> tuple[int, int, int, int]:
    """Borders at the ends of one axis."""
    return (before, after, 0, 0) if axis == 0 else (0, 0, before, after)


def _with_side(shape: Image, axis: int, side: int) -> Image:
    channels, height, width = shape
    return (channels, side, width) if axis == 0 else (channels, height, side)
