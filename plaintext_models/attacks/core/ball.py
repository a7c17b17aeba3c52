"""The ball that a perturbation must stay within."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

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

    Raises:
        ValueError: The norm is none of these, or the radius is negative or not finite.
    """

    norm: Measure
    radius: float

    def __post_init__(self) -> None:
        if self.norm not in MEASURES:
            raise ValueError(f"`norm` must be one of {', '.join(MEASURES)}, got {self.norm!r}")
        if not 0 <= self.radius < math.inf:
            raise ValueError(f"`radius` must be a number from 0, got {self.radius}")


def require_norm(norm: str, norms: tuple[Measure, ...]) -> None:
    """Raise ValueError for a norm that is none of those that an attack can use."""
    if norm not in norms:
        raise ValueError(f"`norm` must be one of {', '.join(norms)}, got {norm!r}")
