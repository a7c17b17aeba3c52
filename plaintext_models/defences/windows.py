"""Images as seen through a window that is larger or smaller than they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def seen_through(images: Tensor, size: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """What a window shows of every image, rescaled bilinearly to the image's own size; zero where there is no image.

    Args:
        images: [batch, channels, height, width].
        size: The window's side in units of the image's, [batch], positive.
        x: The window's centre, [batch]; the image reaches from -1 to 1.
        y: The same from top to bottom.

    Returns:
        The same shape as `images`.
    """
    none = torch.zeros_like(size)
    rows = torch.stack([size, none, x, none, size, y], 1).view(-1, 2, 3)
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
