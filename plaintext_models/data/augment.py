"""Random changes of training images that keep their class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intnn.values.arrays import integer

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class RandomAffine:
    """A small rotation, zoom, shear and shift of every image, drawn uniformly and interpolated bilinearly.

    Attributes:
        degrees: The largest rotation, in degrees, either way.
        zoom: The largest relative change of size.
        shear: The largest slope of the horizontal axis.
        shift: The largest shift along either axis, in pixels.

    Raises:
        ValueError: A limit is negative or not finite.
    """

    degrees: float
    zoom: float
    shear: float
    shift: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"`{name}` must be finite and not negative, got {value}")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """[batch, c, h, w] -> the same shape; empty space is zero."""
        import torch  # here: recipes hold this value, and reading them needs no torch
        from torch.nn import functional

        count, side = len(images), images.shape[-1]
        draws = 2 * torch.rand(5, count, generator=generator) - 1
        angle, size, slope = math.radians(self.degrees) * draws[0], 1 + self.zoom * draws[1], self.shear * draws[2]
        x, y = draws[3:] * (2 * self.shift / side)  # the image is 2 wide in the grid's coordinates
        sine, cosine = size * torch.sin(angle), size * torch.cos(angle)
        rows = torch.stack([cosine, -sine + slope, x, sine, cosine, y], dim=1).view(count, 2, 3)
        grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)


@dataclass(frozen=True)
class MirroredCrop:
    """A shift of every image by whole pixels; half of the images are mirrored, left for right.

    Attributes:
        shift: The largest shift along either axis, in pixels, from 0.

    Raises:
        ValueError: The shift is no such integer.
    """

    shift: int

    def __post_init__(self) -> None:
        integer(self.shift, "shift", 0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """[batch, c, h, w] -> the same shape, channels last in memory; empty space is zero."""
        import torch  # here: recipes hold this value, and reading them needs no torch
        from torch.nn import functional

        count, _, height, width = images.shape
        down, right = torch.randint(2 * self.shift + 1, (2, count, 1), generator=generator)
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        padded = functional.pad(images, (self.shift,) * 4)
        chosen = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return chosen.permute(0, 3, 1, 2)
