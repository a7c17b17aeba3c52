"""A linear head by logistic regression, one class against all others: the clear twin of encrypted steps.

With whitened samples X [n, features], the last column ones, weights W [features, classes] and a row of T [n, classes]
for every sample, 1 for its class and 0 for all others,

    Z = X W          R = T - s(Z)          D = X^T R / n

D is the descent, the negative gradient of the logistic loss, if s is the logistic function. Here s is the polynomial
of degree 5 that is nearest to it in the mean square over [-8, 8]: off by 0.0614 at most, it lies in [-0.07, 1.07]
there, and grows beyond all bounds outside. So logits must stay inside, and training stop early enough: `fit_logistic`
refuses what leaves. Steps are those of the heavy ball, as in `he.training.refreshed.network`.

On ciphertexts the polynomial takes three levels:

    s(z) = 1 / 2 + a z ((z^2 + b)^2 + c)

and a is in a scale. With X W before it and X^T R behind it a step takes five.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from he.training.head import checked_samples
from he.training.refreshed.network import MOST_STEPS, ReachError
from intnn.values.arrays import FloatArray, instance, integer, real
from intnn.values.value_object import ValueObject

LEVELS = 5  # of a step
RANGE = 8.0  # of logits
ODD = (0.1913049, -0.004596052, 4.223017e-5)  # the coefficients of z, z^3 and z^5
LEADING = ODD[2]
INNER = ODD[1] / (2 * ODD[2])  # b
OUTER = ODD[0] / ODD[2] - INNER**2  # c


@dataclass(frozen=True)
class LogisticDescent(ValueObject):
    """The public constants of a training run.

    Attributes:
        steps: The steps, from 1 to 65536.
        rate: The rate, above 0.
        momentum: What is kept of the last move, in [0, 1).
        reach: What no weight may exceed, above 0.

    Raises:
        TypeError: A number has another type.
        ValueError: It is out of its range.
    """

    steps: int
    rate: float
    momentum: float = 0.0
    reach: float = 8.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", integer(self.steps, "steps", 1, MOST_STEPS))
        for name in ("rate", "reach"):
            value = real(getattr(self, name), name)
            if not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be finite and above 0, got {value}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "momentum", real(self.momentum, "momentum"))
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1), got {self.momentum}")


def nearly_logistic(z: FloatArray) -> FloatArray:
    """Return the polynomial's values at logits of any shape."""
    return 0.5 + LEADING * z * ((z * z + INNER) ** 2 + OUTER)


def fit_logistic(
    x: ArrayLike,
    labels: ArrayLike,
    classes: int,
    descent: LogisticDescent,
    progress: Callable[[int, FloatArray, float], None] | None = None,
) -> FloatArray:
    """Train a head in the clear, from weights 0, step by step as is done on ciphertexts.

    Args:
        x: Whitened samples, float64 [n, features] in [-16, 16], the last column ones.
        labels: int64 [n] in [0, classes).
        classes: The number of classes.
        descent: The constants.
        progress: A function that is called after every step with the steps made, the head, and the largest absolute
            value of a logit that the step began with.

    Returns:
        The head, float64 [features, classes]: x @ head are the logits.

    Raises:
        ReachError: A logit is beyond 8, or a weight beyond the reach.
        TypeError: An argument has another type.
        ValueError: A shape or a value is wrong, or there are other numbers of samples and labels.
    """
    instance(descent, LogisticDescent, "descent")
    white, y = checked_samples(x, labels, classes)
    before = head = np.zeros((white.shape[1], classes))
    for step in range(1, descent.steps + 1):
        logits = white @ head
        largest = float(np.abs(logits).max())
        found = white.T @ (y + 1 / classes - nearly_logistic(logits)) / len(white)
        before, head = head, (1 + descent.momentum) * head - descent.momentum * before + descent.rate * found
        reach = float(np.abs(head).max())
        if not (largest <= RANGE and reach <= descent.reach):
            raise ReachError(
                f"logits must stay within {RANGE:g} and weights within `reach`, {descent.reach:g}, got {largest:.3g} "
                f"and {reach:.3g} in step {step}; lower the rate, make fewer steps, or plan for a larger reach"
            )
        if progress is not None:
            progress(step, head, largest)
    return head
