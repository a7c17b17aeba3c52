"""Public features of images: random convolutions, rectified and pooled, that nobody has trained.

They follow A. Saxe et al., "On Random Weights and Unsupervised Feature Learning" (ICML 2011): a linear head on enough
of them is nearly as good as one on trained features, and since they depend on no data, publishing them tells nothing.

Everything is an integer below 2**53, for all sizes that are allowed, until the last step, a division by a power of two.
So float64 holds all of it exactly, sums may be taken in any order, and the features are the same bits on every machine
and with every library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from he.training.draws import DEVIATION, nearly_normal
from intnn.training import generator
from intnn.values.arrays import FloatArray, IntArray, batched, integer, reals
from intnn.values.value_object import ValueObject

_LEVELS = 255  # pixels are rounded to as many steps
_BATCH = 512  # images whose windows are in memory at once


@dataclass(frozen=True)
class RandomFeatures(ValueObject):
    """A map from grey images to features, drawn from a seed.

    An image is shrunk by averages of ``shrink`` x ``shrink`` pixels, convolved with every filter at every place where a
    window fits, rectified, and averaged over ``pool`` x ``pool`` neighbouring places; what is left at the lower and
    right edge is dropped.

    Attributes:
        height: The pixels of an image from top to bottom, from 1 to 4096.
        width: Those from left to right, from 1 to 4096.
        filters: The number of filters, from 1 to 65536.
        window: The height and width of a filter, from 1 to 12.
        pool: The height and width of what is averaged, from 1 to 12.
        shrink: The height and width of what is averaged before, from 1 to 12.
        seed: Names the filters, in [0, 2**64).

    Raises:
        TypeError: A number is no integer.
        ValueError: It is out of its range, or the images are too small for a window or a pool.
    """

    height: int
    width: int
    filters: int
    window: int
    pool: int
    shrink: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        most = {"height": 4096, "width": 4096, "filters": 1 << 16, "window": 12, "pool": 12, "shrink": 12}
        for name, high in most.items():
            object.__setattr__(self, name, integer(getattr(self, name), name, 1, high))
        object.__setattr__(self, "seed", integer(self.seed, "seed", 0, (1 << 64) - 1))
        if min(self.places) < 1:
            least = self.shrink * (self.window + self.pool - 1)
            raise ValueError(
                f"`height` and `width` must be at least {least} for this window, pool and shrink, got "
                f"{self.height} and {self.width}"
            )

    @property
    def places(self) -> tuple[int, int]:
        """The rows and columns of features that every filter gives."""
        rows, columns = ((size // self.shrink - self.window + 1) // self.pool for size in (self.height, self.width))
        return rows, columns

    @property
    def count(self) -> int:
        """The number of features of an image."""
        return self.filters * math.prod(self.places)

    def filter_weights(self) -> tuple[IntArray, IntArray]:
        """Draw the filters, of nearly normal integers within 510.

        A threshold is as large as a quarter of what one full pixel under such a number adds.

        Returns:
            The filters, int64 [filters, window * window], and their thresholds, int64 [filters], which are added to
            sums of pixels that are integers from 0 to 255 * shrink**2.
        """
        streams = [generator.key(self.seed, generator.FEATURES, number) for number in range(self.filters)]
        numbers = np.stack([nearly_normal(stream, self.window**2 + 1) for stream in streams])
        return numbers[:, :-1], numbers[:, -1] * (_LEVELS * self.shrink**2) // 4

    def of(self, images: ArrayLike) -> FloatArray:
        """Compute the features of images.

        Args:
            images: Floats in [0, 1], [n, 1, height, width]; they are rounded to multiples of 1/255.

        Returns:
            float64 [n, count], at least 0 and mostly below 8: filter by filter, row by row.

        Raises:
            TypeError: The images are no floats.
            ValueError: Their shape or a value is wrong.
        """
        pixels = batched(reals(images, "images"), (1, self.height, self.width), "images")[:, 0]
        if pixels.min() < 0 or pixels.max() > 1:
            raise ValueError(f"`images` must lie in [0, 1], got [{pixels.min()}, {pixels.max()}]; scale them first")
        weights, thresholds = self.filter_weights()
        starts = range(0, len(pixels), _BATCH)
        parts = [self._batch(np.rint(_LEVELS * pixels[at : at + _BATCH]), weights, thresholds) for at in starts]
        return np.concatenate(parts)

    def _batch(self, pixels: FloatArray, weights: IntArray, thresholds: IntArray) -> FloatArray:
        pixels = _pooled(pixels, self.shrink)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (self.window, self.window), axis=(1, 2))
        rows = windows.reshape(*windows.shape[:3], self.window**2)
        maps = np.maximum(rows @ weights.T.astype(np.float64) + thresholds, 0)
        sums = _pooled(np.moveaxis(maps, 3, 1), self.pool)
        return sums.reshape(len(pixels), -1) / self._unit

    @property
    def _unit(self) -> float:
        """The power of two next to what a full pixel under a usual weight adds to a sum, by which sums are divided."""
        one = DEVIATION * _LEVELS * self.shrink**2 * self.pool**2
        return 2.0 ** round(math.log2(one))


def _pooled(maps: FloatArray, size: int) -> FloatArray:
    """Sum squares of neighbours in the last two axes, and drop what is left over."""
    rows, columns = (length // size for length in maps.shape[-2:])
    blocks = maps[..., : rows * size, : columns * size].reshape(*maps.shape[:-2], rows, size, columns, size)
    return blocks.sum(axis=(-3, -1))
