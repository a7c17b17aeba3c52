"""The ball that a perturbation must stay within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plaintext_models.attacks.core.numbers import number

if TYPE_CHECKING:
    from torch import Tensor  # recipes, which hold balls, are read without it

Norm = Literal["l1", "l2", "linf"]
Measure = Literal["l0", "l1", "l2", "linf"]
NORMS: tuple[Norm, ...] = get_args(Norm)
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class Ball:
    """All perturbations that are no longer than a radius.

    Attributes:
        norm: How lengths are measured: "l1", "l2", "linf", or "l0", which counts the elements that are not zero (an
            element is one channel of one pixel).
        radius: The greatest length, a finite number from 0, in the units of the images; for "l0", a number of elements.
            One for all images, or one for each of them: any sequence, array or tensor [batch], kept as a tuple.

    Raises:
        TypeError: The radius is not a number, nor a sequence of numbers.
        ValueError: The norm is none of these, or a radius is negative or not finite, or there is none.
    """

    norm: Measure
    radius: float | tuple[float, ...]

    def __init__(self, norm: Measure, radius: float | Sequence[float] | NDArray[Any] | Tensor) -> None:
        """Make a ball."""
        if not isinstance(norm, str) or norm not in MEASURES:
            raise ValueError(f"`norm` must be one of {', '.join(MEASURES)}, got {norm!r}")
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "radius", _radius(radius))

    @property
    def largest(self) -> float:
        """The largest radius."""
        return max(self.radius) if isinstance(self.radius, tuple) else self.radius

    def radii(self, images: Tensor) -> Tensor:
        """The radius of every image, float64 [batch], on the images' device.

        Raises:
            ValueError: There are several radii, and not as many as images.
        """
        import torch  # see above

        radii = torch.tensor(self.radius, dtype=torch.float64, device=images.device)
        if radii.ndim and len(radii) != len(images):
            raise ValueError(f"`radius` must be one for all images or one each, got {len(radii)} for {len(images)}")
        return radii.expand(len(images))

    def require_one_radius(self) -> float:
        """The radius, where one for all images is needed; a ValueError if there are several."""
        if isinstance(self.radius, tuple):
            raise ValueError(f"`radius` must be one for all images here, got {len(self.radius)}")
        return self.radius

    def at_most(self, length: float) -> Ball:
        """The ball with no radius above a length."""
        return self if self.largest <= length else Ball(self.norm, np.minimum(self.radius, length))

    def only(self, values: Tensor, rest: Tensor | float) -> Tensor:  # noqa: ARG002 - for balls that have a mask
        """Values [batch, *shape] of what may change, here all of them, and the `rest` of what may not."""
        return values

    def __getitem__(self, rows: Tensor) -> Ball:
        """The ball of some of the images."""
        return Ball(self.norm, np.array(self.radius)[rows.cpu().numpy()]) if isinstance(self.radius, tuple) else self


def _radius(radius: Any) -> float | tuple[float, ...]:
    if hasattr(radius, "tolist"):  # an array or a tensor
        radius = radius.tolist()
    if not isinstance(radius, Sequence) or isinstance(radius, str):
        return number(radius, "radius", least=0)
    if not radius:
        raise ValueError("`radius` must be one number, or one for each image, got none")
    return tuple(number(value, "radius", least=0) for value in radius)


def require_norm(norm: str, norms: tuple[Measure, ...]) -> None:
    """Raise ValueError for a norm that is none of those that an attack can use."""
    if not isinstance(norm, str) or norm not in norms:
        raise ValueError(f"`norm` must be one of {', '.join(norms)}, got {norm!r}")
