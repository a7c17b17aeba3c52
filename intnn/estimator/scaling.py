"""Float features as integers of a domain, by the range that they have in the training data."""

from dataclasses import dataclass

import numpy as np

from intnn.values.arrays import FloatArray, IntArray
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up


@dataclass(frozen=True, eq=False)
class Scaling:
    """A linear map from floats to a domain, rounded and saturated.

    Attributes:
        domain: Of the results.
        least: What becomes ``domain.lo``; float64 [features] or, for images, one number.
        step: Float units of one integer; 1 where the training data has one value only.
    """

    domain: IntDomain
    least: FloatArray
    step: FloatArray

    @classmethod
    def of(cls, x: FloatArray, domain: IntDomain) -> "Scaling":
        """Spread every feature of [n, features], or the pixels of [n, channels, height, width], over the domain."""
        axes = 0 if x.ndim == 2 else None
        least, most = np.asarray(x.min(axis=axes)), np.asarray(x.max(axis=axes))
        # Halves, and the largest float: the difference of two floats may not be a float.
        half = (most / 2 - least / 2) / max(domain.size - 1, 1)
        step = 2 * np.minimum(half, np.finfo(np.float64).max / 2)
        return cls(domain, least, np.where(step > 0, step, 1.0))

    def __call__(self, x: FloatArray) -> IntArray:
        """The integers that finite floats become; what is out of the training data's range saturates."""
        with np.errstate(over="ignore"):  # infinity saturates as well
            places = x / self.step - self.least / self.step
        return round_half_up(np.clip(places, 0, self.domain.size - 1)) + self.domain.lo
