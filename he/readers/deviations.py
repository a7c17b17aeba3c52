"""Standard deviations of errors in CKKS, as sums, products and squares make them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from he.readers.variance import NORMAL_TAIL, PRODUCT_TAIL


class Deviations(NamedTuple):
    """Standard deviations of an error, at a complex root: a slot, which is the real part there, has half the variance.

    Attributes:
        normal: of the part with the tails of a normal distribution: encryption, and the rounding of plaintexts.
        product: of the part that is a product of two such numbers, of a rounding with the secret or of a digit with the
            error of a key. Its real part has Laplace's distribution, whose tails are longer.
    """

    normal: float = 0.0
    product: float = 0.0

    def __mul__(self, factor: float) -> Deviations:  # type: ignore[override]  # no repetition of a tuple
        return Deviations(self.normal * factor, self.product * factor)

    def and_(self, other: Deviations) -> Deviations:
        """Return the deviations of the sum with an independent error."""
        return Deviations(math.hypot(self.normal, other.normal), math.hypot(self.product, other.product))

    def without(self, other: Deviations) -> Deviations:
        """Return the deviations of the independent error that, with the other, has these deviations; 0 if none has."""
        pairs = zip(self, other, strict=True)
        return Deviations(*(math.sqrt(max(0.0, (whole - part) * (whole + part))) for whole, part in pairs))

    def with_(self, other: Deviations) -> Deviations:
        """Return the deviations of the sum with any other error."""
        return Deviations(self.normal + other.normal, self.product + other.product)

    @property
    def bound(self) -> float:
        """A bound that a slot's error exceeds with a probability below 2^-39."""
        return NORMAL_TAIL * self.normal + PRODUCT_TAIL * self.product


NONE = Deviations()


class Spread(NamedTuple):
    """The errors of units before they were squared, until it is known what the next layer makes of the squares.

    Attributes:
        joint, loose: those of the units, for both factors of the square together.
        slope: a bound on what a square multiplies any of these errors by: a unit, and its error.
        length: a bound on the Euclidean norm of what it multiplies all of them by.
    """

    joint: Deviations
    loose: Deviations
    slope: float
    length: float

    def settled(self, joint: Deviations, loose: Deviations) -> tuple[Deviations, Deviations, None]:
        """Return `joint` and `loose` of a value with these errors of the squares in them, and nothing spread."""
        return joint.and_(self.joint * self.slope), loose.and_(self.loose * self.slope), None


def max_of(deviations: Sequence[Deviations]) -> Deviations:
    """Return the largest deviation of each kind."""
    return Deviations(max(d.normal for d in deviations), max(d.product for d in deviations))
