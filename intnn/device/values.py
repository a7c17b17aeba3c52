"""How a layer's outputs lie on a GPU, and in which of a few buffers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intnn.layers.nodes import Shape
from intnn.ops.cuda.product import filled

DTYPES = (np.uint8, np.int8, np.int32, np.int64)


@dataclass(frozen=True)
class Value:
    """A layer's output for one input: a row for each pixel, of so many elements that a row is filled up.

    Attributes:
        layout: Channels, height and width of the image whose pixels are rows.
        dtype: The type of an element.
        width: The elements of a row.
    """

    layout: tuple[int, int, int]
    dtype: np.dtype[Any]
    width: int

    @classmethod
    def rows(cls, layout: tuple[int, int, int], dtype: np.dtype[Any]) -> "Value":
        """A value as kernels like it: every row begins on a border of 16 elements."""
        return cls(layout, dtype, filled(layout[0]))

    @classmethod
    def flat(cls, shape: Shape, dtype: np.dtype[Any]) -> "Value":
        """A value as callers have it: one element behind the other, in C order."""
        count = math.prod(shape)
        return cls((count, 1, 1), dtype, count)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width."""
        return self.layout[1:]

    @property
    def pixels(self) -> int:
        """The rows of one input."""
        return self.layout[1] * self.layout[2]

    @property
    def count(self) -> int:
        """The elements of the value itself."""
        return self.layout[0] * self.pixels

    @property
    def size(self) -> int:
        """The elements of all rows."""
        return self.pixels * self.width

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return self.size * self.dtype.itemsize


def image_of(shape: Shape) -> tuple[int, int, int]:
    """The image as which an array [channels, ...] lies: a vector is a pixel, and further axes become one."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return shape[0], math.prod(shape[1:]), 1


def narrowest(lo: int, hi: int) -> np.dtype[Any]:
    """The narrowest of a few types that holds all integers in [lo, hi], which fit int64."""
    limits = ((np.dtype(kind), np.iinfo(kind)) for kind in DTYPES)
    return next(dtype for dtype, limit in limits if limit.min <= lo and hi <= limit.max)


@dataclass(frozen=True)
class Memory:
    """Buffers that values share: two of them have the same one if the first is no longer read when the second is made.

    Attributes:
        buffers: The number of every value's buffer.
        sizes: The bytes of every buffer, for one input.
        parameters: The bytes of weights, biases and tables.
    """

    buffers: tuple[int, ...]
    sizes: tuple[int, ...]
    parameters: int

    @classmethod
    def of(cls, sizes: Sequence[int], steps: Sequence[tuple[tuple[int, ...], int]], parameters: int) -> "Memory":
        """Share out buffers: to each value the free one that has to grow the least.

        Args:
            sizes: The bytes of every value, for one input; value 0 is the network's input.
            steps: For every step, in order, the values that it reads and the one that it makes.
            parameters: The bytes of the parameters.
        """
        last_read = {number: i for i, (reads, _) in enumerate(steps) for number in reads}
        buffers, grown, free = {0: 0}, [sizes[0]], list[int]()
        for i, (reads, made) in enumerate(steps):
            if not free:
                free.append(len(grown))
                grown.append(0)
            chosen = min(free, key=lambda buffer: (max(0, sizes[made] - grown[buffer]), grown[buffer]))
            free.remove(chosen)
            buffers[made], grown[chosen] = chosen, max(grown[chosen], sizes[made])
            free += [buffers[number] for number in set(reads) if last_read[number] == i]
        return cls(tuple(buffers[number] for number in range(len(sizes))), tuple(grown), parameters)

    @property
    def per_input(self) -> int:
        """The bytes of all buffers, for one input."""
        return sum(self.sizes)

    def inputs(self, free: int) -> int:
        """How many inputs at once fit so many free bytes."""
        return max(0, free) // self.per_input
