"""The scales of one encrypted step of logistic regression, and what is agreed on before.

Of six primes at the start, with X and W at the top, b and c of `he.training.refreshed.logistic`, and targets T - 1 / 2:

    Z = X W              level 5    pairs of classes, which are then taken apart
    Z^2 + b              level 4
    Q = (Z^2 + b)^2 + c  level 3
    R = T - s(Z)         level 2    pairs of classes again
    X^T R                level 1

The constants are added in all slots: those without a sample hold zeros in every feature, and so count nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from he.training.refreshed.logistic import LEADING, LEVELS, LogisticDescent
from he.training.refreshed.plan import RefreshedPlan, worn_room
from intnn.values.arrays import FloatArray, instance

_SAMPLE_BITS = 30  # of the scale of samples and targets


@dataclass(frozen=True)
class LogisticScales:
    """The scales of the values of a step.

    Attributes:
        samples: The number of all samples, by which gradients are divided.
        primes: The primes of the parameters.
        rate: The rate, which is in the scale of worn weights.
        worn: The scale of worn weights.
        sample: The scale of X and T.
    """

    samples: int
    primes: tuple[int, ...]
    rate: float
    worn: float
    sample: float = 2.0**_SAMPLE_BITS

    @cached_property
    def residual(self) -> float:
        """The scale of R, for which a total is a descent times the rate at the scale of worn weights."""
        return self.worn * self.rate * self.primes[1] / (self.sample * self.samples)

    @cached_property
    def logit(self) -> float:
        """The scale of Z, once pairs are apart; its fifth power is in R, whose scale has the leading coefficient."""
        _, _, q3, q4, q5, _, *_ = self.primes
        return float((self.residual * LEADING * q3 * q4 * float(q5) ** 2) ** 0.2)

    @cached_property
    def fresh(self) -> float:
        """The scale of fresh weights; halves are twice their numbers."""
        return self.logit * self.primes[5] / (2 * self.sample)

    @cached_property
    def square(self) -> float:
        """The scale of Z^2 + b."""
        return self.logit**2 / self.primes[4]

    @cached_property
    def outer(self) -> float:
        """The scale of (Z^2 + b)^2 + c."""
        return self.square**2 / self.primes[3]

    @property
    def target_factor(self) -> int:
        """What targets are multiplied by at level 3, rounded, to have the scale of R once they are rescaled."""
        return round(self.residual * self.primes[2] / self.sample)


@dataclass(frozen=True)
class LogisticPlan(RefreshedPlan):
    """The public frame of training one head by logistic regression: see `RefreshedPlan`."""

    descent: LogisticDescent

    levels = LEVELS

    def __post_init__(self) -> None:
        instance(self.descent, LogisticDescent, "descent")
        super().__post_init__()

    @property
    def sample_bits(self) -> int:
        """The binary logarithm of the scale of fresh samples."""
        return _SAMPLE_BITS

    @cached_property
    def scales(self) -> LogisticScales:
        """The scales of a step: the largest for which worn weights within the reach have room."""
        worn = worn_room(self.parameters) / self.descent.reach
        return LogisticScales(self.samples, self.parameters.primes, self.descent.rate, worn)

    @property
    def weights(self) -> int:
        """The number of pairs of weights, of two classes each, feature by feature."""
        return self.features * self.pairs

    @property
    def initial(self) -> FloatArray:
        """The weights at the start: zeros, float64 [weights, 2]."""
        return np.zeros((self.weights, 2))

    def paired(self, head: FloatArray) -> FloatArray:
        """Return a head [features, classes] as it is packed: float64 [weights, 2]; zeros behind an odd last class."""
        return np.pad(head, [(0, 0), (0, 2 * self.pairs - self.classes)]).reshape(-1, 2)

    def head(self, weights: FloatArray) -> FloatArray:
        """Return the head with these weights, float64 [features, classes]: the inverse of `paired`."""
        return weights.reshape(self.features, 2 * self.pairs)[:, : self.classes]

    @property
    def fresh_scales(self) -> FloatArray:
        """As in `RefreshedPlan`, all the same."""
        return np.full((self.weights, 1), self.scales.fresh)

    @property
    def worn_scales(self) -> FloatArray:
        """As in `RefreshedPlan`, all the same."""
        return np.full((self.weights, 1), self.scales.worn)
