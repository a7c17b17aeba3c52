"""T30, compression: JPEG's lossy step, or a low-pass filter, in front of a network.

Dziugaite, Ghahramani and Roy, "A study of the effect of JPG compression on adversarial images" (arXiv:1608.00853). Of
JPEG, what loses something is here: the discrete cosine transform of blocks of 8 x 8, quantised. Colours are not
subsampled, and there is no file. Gradients go straight through the roundings (Athalye et al., arXiv:1802.00420).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from intnn.values.arrays import integer
from plaintext_models.attacks.core.derived import Front, in_front
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.training.qat.rounding import round_half_up
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

QUALITY = 75  # that of the paper
SHARE = 0.75  # of the frequencies, where a low-pass filter keeps the lowest
SIDE = 8
#: ITU-T T.81, tables K.1 (brightness) and K.2 (colour), at quality 50.
BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
#: From red, green and blue to brightness and two colours (ITU-T T.871), which lie around 128.
TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


def cosines(count: int) -> Tensor:
    """The orthonormal discrete cosine transform of type II as a matrix, float32 [count, count], frequencies first."""
    frequency, place = torch.arange(count)[:, None], torch.arange(count)[None]
    waves = torch.cos(math.pi * frequency * (2 * place + 1).double() / (2 * count)) * math.sqrt(2 / count)
    waves[0] /= math.sqrt(2)
    return waves.float()


class Jpeg:
    """What JPEG makes of images in [0, 1] with one channel (grey) or three (red, green and blue).

    Args:
        quality: From 1 to 100, which scales the tables as the Independent JPEG Group's library does.
    """

    def __init__(self, quality: int) -> None:
        integer(quality, "quality", 1, 100)
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        tables = torch.tensor([BRIGHTNESS, COLOUR, COLOUR])
        self._tables = ((tables * scale + 50) // 100).clamp(1, 255).float()
        self._cosines, self._to = cosines(SIDE), torch.tensor(TO_YCC)
        self._back = torch.linalg.inv(self._to.double()).float()

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, 1 or 3, height, width] -> the same shape, of 256 levels.

        Raises:
            ValueError: There are neither one nor three channels.
        """
        channels, height, width = images.shape[1:]
        if channels not in (1, 3):
            raise ValueError(f"`images` must have 1 or 3 channels, got {channels}")
        levels = round_half_up(255 * images)
        # brightness lies around 128, and colours, here without JPEG's offset of 128, around 0
        middle = 128.0 * (torch.arange(channels) == 0).to(images).reshape(-1, 1, 1)
        around = (round_half_up(_mixed(levels, self._to)) if channels == 3 else levels) - middle
        padded = functional.pad(around, (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
        blocks = padded.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)  # [batch, channels, rows, columns, 8, 8]
        waves, tables = self._cosines.to(images), self._tables[:channels, None, None].to(images)
        coarse = round_half_up(waves @ blocks @ waves.mT / tables) * tables
        joined = (waves.mT @ coarse @ waves).transpose(3, 4).reshape(padded.shape)
        decoded = round_half_up(joined[..., :height, :width] + middle)
        if channels == 3:
            decoded = round_half_up(_mixed(decoded, self._back))
        return decoded.clamp(0, 255) / 255


class LowPass:
    """The lowest frequencies of the discrete cosine transform of the whole image; linear, so gradients are exact.

    Args:
        share: The share of the frequencies along either axis that stay, above 0 to 1; at least one stays.
    """

    def __init__(self, share: float) -> None:
        self._share = number(share, "share", above=0, most=1)

    def __call__(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] -> the same shape, kept within [0, 1]."""
        rows, columns = (self._smooth(side).to(images) for side in images.shape[-2:])
        return (rows @ images @ columns.mT).clamp(0, 1)

    def _smooth(self, side: int) -> Tensor:
        """The projection on the lowest frequencies, [side, side]."""
        low = cosines(side)[: math.ceil(self._share * side)]
        return low.mT @ low


@dataclass(frozen=True)
class Compression:
    """A compression or a filter in front of a network.

    Attributes:
        front: Maps images in [0, 1] to images of the same shape: `Jpeg` or `LowPass`.
    """

    front: Front

    def wrap(self, target: Target) -> Target:
        """The network behind it."""
        return in_front(target, self.front)


def _mixed(images: Tensor, matrix: Tensor) -> Tensor:
    """Channels [batch, 3, height, width] multiplied by a matrix [3, 3]."""
    return torch.einsum("dc,bchw->bdhw", matrix.to(images), images)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "jpeg") -> Defended:  # noqa: ARG001
    """JPEG at the paper's quality in front of the network of the recipe, or a low-pass filter ("low pass")."""
    bare = Target(make(recipe, dataset))
    return Defended(Compression(LowPass(SHARE) if form == "low pass" else Jpeg(QUALITY)).wrap(bare), bare)
