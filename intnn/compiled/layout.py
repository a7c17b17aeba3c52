"""Where activations lie in memory: they are bytes, and images have their channels last."""

import math
from dataclasses import dataclass

import numpy as np

from intnn.compiled.fuse import UnsupportedError
from intnn.layers.nodes import Shape
from intnn.values.arrays import IntArray
from intnn.values.domain import IntDomain


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the elements of one image or vector lie.

    Attributes:
        shape: The shape of one input, as the network sees it.
        offset: The number that a value is stored less: a byte is value - offset.
        size: The bytes from one image to the next.
        places: int64, the byte at which every element lies, in C order of the shape.
        pitch: The bytes from one row of an image to the next; 0 for a vector.
        fill: The byte that stands for zero in the padding, or None without padding.
    """

    shape: Shape
    offset: int
    size: int
    places: IntArray
    pitch: int = 0
    fill: int | None = None

    @classmethod
    def vector(cls, elements: int, offset: int, size: int) -> "Layout":
        """The layout of a vector, one element after the other."""
        return cls((elements,), offset, size, np.arange(elements))

    @classmethod
    def image(cls, shape: Shape, offset: int, channels: int, padding: int) -> "Layout":
        """The layout of an image: ``channels`` bytes for every pixel, and a border of ``padding`` zeros.

        Args:
            shape: Channels, height and width.
            offset: The number that a value is stored less.
            channels: The bytes of a pixel, at least as many as ``shape`` has channels.
            padding: The width of the border.

        Raises:
            UnsupportedError: The border's zero, less the offset, is not a byte.
        """
        count, height, width = shape
        pitch = (width + 2 * padding) * channels
        c, i, j = np.ogrid[:count, :height, :width]
        places = ((i + padding) * pitch + (j + padding) * channels + c).ravel()
        if padding and not 0 <= -offset <= 255:
            raise UnsupportedError("values and the zeros of their border must fit a byte together")
        return cls(shape, offset, (height + 2 * padding) * pitch, places, pitch, -offset if padding else None)

    @property
    def is_identity(self) -> bool:
        """Whether bytes and elements are the same."""
        return np.array_equal(self.places, np.arange(self.size))

    def flat(self) -> "Layout":
        """The same bytes, seen as a vector."""
        return Layout((math.prod(self.shape),), self.offset, self.size, self.places)


def byte_offset(values: IntDomain) -> int:
    """The number that values are stored less: 0 or -128 where one of them serves.

    Raises:
        UnsupportedError: There are more than 256 values.
    """
    for lo in (0, -128, values.lo):
        if lo <= values.lo and values.hi <= lo + 255:
            return lo
    raise UnsupportedError(f"values between layers must fit a byte, got {values}")
