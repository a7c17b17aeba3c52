"""Float features as integers of a domain, by the range that they have in the training data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.estimator.base import features
from intnn.network.scale import warn_of_scale
from intnn.values.arrays import FloatArray, IntArray, batched, frozen, instance, reals
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class Scaling(ValueObject):
    """A linear map from floats to a domain, rounded and saturated.

    Attributes:
        domain: The domain of the results.
        least: The float that becomes ``domain.lo``; float64 [features] or, for images, one number.
        step: The float units of one integer, in the same shape; 1 where the training data has one value only.

    Both arrays are read-only.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: ``least`` and ``step`` have different shapes, or a step is not positive.
    """

    domain: IntDomain
    least: FloatArray
    step: FloatArray

    def __post_init__(self) -> None:
        instance(self.domain, IntDomain, "domain")
        least, step = reals(self.least, "least"), reals(self.step, "step")
        if least.shape != step.shape or least.ndim > 1:
            raise ValueError(
                f"`least` and `step` must have one shape, [features] or [], got {least.shape}, {step.shape}"
            )
        if not (step > 0).all():
            raise ValueError(f"`step` must be positive, got {step.min()}")
        object.__setattr__(self, "least", frozen(least))
        object.__setattr__(self, "step", frozen(step))

    @classmethod
    def of(cls, x: FloatArray, domain: IntDomain) -> "Scaling":
        """The scaling that spreads the features of [n, features], or all pixels of [n, c, h, w], over the domain."""
        axes = 0 if x.ndim == 2 else None
        least, most = np.asarray(x.min(axis=axes)), np.asarray(x.max(axis=axes))
        # Halves are subtracted, and the step is limited: the difference of two floats may be beyond all floats.
        half = (most / 2 - least / 2) / max(domain.size - 1, 1)
        step = 2 * np.minimum(half, np.finfo(np.float64).max / 2)
        return cls(domain, least, np.where(step > 0, step, 1.0))

    def __call__(self, X: ArrayLike) -> IntArray:
        """The integers that finite floats become; what is out of the training data's range saturates.

        Args:
            X: Floats [n, features] or, for images, [n, channels, height, width].

        Raises:
            TypeError: ``X`` holds no numbers.
            ValueError: Its shape is another, or a value NaN or infinite.

        Warns:
            UserWarning: ``X`` has another scale than the training data; see `intnn.network.scale`.
        """
        x = features(X)
        if self.least.ndim:
            batched(x, self.least.shape, "X")
        elif x.ndim != 4:
            raise ValueError(f"`X` must have shape (batch, channels, height, width), got {x.shape}")
        with np.errstate(over="ignore"):  # infinity saturates as well
            places = x / self.step - self.least / self.step
            most = self.least + self.step * (self.domain.size - 1)
        warn_of_scale(x, self.least, most)
        return round_half_up(np.clip(places, 0, self.domain.size - 1)) + self.domain.lo
