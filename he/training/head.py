"""A linear head by least squares, in few steps with public constants: the clear twin of what a trainer does encrypted.

With samples X [n, d], whitened and with a column of ones, and targets Y [n, classes], the head W minimises
|X W - Y|^2, so that G W = X^T Y / n with the moments G = X^T X / n. If all eigenvalues of G lie in [a, b], Chebyshev's
semi-iteration (G. H. Golub and R. S. Varga, "Chebyshev semi-iterative methods, successive overrelaxation iterative
methods, and second order Richardson iterative methods", Numerische Mathematik 3, 1961) makes the residual after k steps
the smallest that k products with G allow for all such G. From W_0 = 0, with t = (b + a) / 2 and h = (b - a) / 2, step i
computes

    G_i = X^T (Y - X W_(i-1)) / n      the gradient, downhill
    P_i = G_i + beta_i P_(i-1)         beta_1 = 0, beta_2 = (h alpha_1)^2 / 2, then beta_i = (h alpha_(i-1) / 2)^2
    W_i = W_(i-1) + alpha_i P_i        alpha_1 = 1 / t, then alpha_i = 1 / (t - beta_i / alpha_(i-1))

and the residual is T_k((t - G) / h) / T_k(t / h) times the first one. On [0, a] that factor falls from 1, so that
smaller eigenvalues do no harm: what lies there is learnt late. Above b it grows like the k-th power: a bound that is
too small ruins a head, one that is too large costs little. Neither a nor b tells anything of the samples.

Under encryption nobody divides, compares or looks: every W_i is a fixed combination of gradients (`Descent.weights`).
The first gradient is a product of two ciphertexts, each later one of two such products, X W and X^T R, and so k steps
take 2 k - 1 levels: the combination's factors share a level with the products. Step sizes and 1 / n go into the scale
of a ciphertext, which costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from he.training.whitening import LARGEST
from intnn.values.arrays import FloatArray, batched, integer, integers, real, reals
from intnn.values.value_object import ValueObject

MOST_STEPS = 8
MOST_CLASSES = 1 << 10


@dataclass(frozen=True)
class Descent(ValueObject):
    """The public constants of a training run.

    Attributes:
        steps: The number of steps, from 1 to 8.
        bound: b, what the top eigenvalue of the moments may be; `he.training.whitening.require_bound` checks it.
        ratio: b / a, above 1: eigenvalues below a count as if they were there.

    Raises:
        TypeError: A number has another type.
        ValueError: It is out of its range.
    """

    steps: int
    bound: float
    ratio: float = 8.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", integer(self.steps, "steps", 1, MOST_STEPS))
        for name, least in (("bound", 0.0), ("ratio", 1.0)):
            value = real(getattr(self, name), name)
            if not least < value < math.inf:
                raise ValueError(f"`{name}` must be finite and above {least:g}, got {value}")
            object.__setattr__(self, name, value)

    @property
    def levels(self) -> int:
        """The multiplicative levels that the steps take under encryption."""
        return 2 * self.steps - 1

    @cached_property
    def rates(self) -> tuple[tuple[float, float], ...]:
        """The pairs of alpha_i and beta_i, step by step."""
        low = self.bound / self.ratio
        middle, half = (self.bound + low) / 2, (self.bound - low) / 2
        alpha, rates = 1 / middle, [(1 / middle, 0.0)]
        for step in range(2, self.steps + 1):
            beta = (half * alpha) ** 2 / (2 if step == 2 else 4)
            alpha = 1 / (middle - beta / alpha)
            rates.append((alpha, beta))
        return tuple(rates)

    @cached_property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """For every step i what each gradient counts in W_i: row i has i positive numbers, and the last is alpha_i."""
        rows: list[tuple[float, ...]] = []
        direction: list[float] = []
        total: list[float] = []
        for alpha, beta in self.rates:
            direction = [beta * weight for weight in direction] + [1.0]
            total = [old + alpha * weight for old, weight in zip([*total, 0.0], direction, strict=True)]
            rows.append(tuple(total))
        return tuple(rows)


def targets(labels: ArrayLike, classes: int) -> FloatArray:
    """Return what a head is to give: for every label a row of 1 - 1 / classes in its place, and -1 / classes elsewhere.

    Args:
        labels: int64 [n] in [0, classes).
        classes: Their number, from 2 to 1,024.

    Raises:
        TypeError: The labels are no integers.
        ValueError: One is no class, or their shape is wrong.
    """
    number, checked = integer(classes, "classes", 2, MOST_CLASSES), integers(labels, "labels")
    if checked.ndim != 1 or not checked.size:
        raise ValueError(f"`labels` must have shape [n] with at least one, got {checked.shape}")
    if checked.min() < 0 or checked.max() >= number:
        raise ValueError(f"`labels` must lie in [0, {number}), got [{checked.min()}, {checked.max()}]")
    result: FloatArray = np.eye(number)[checked] - 1 / number
    return result


def require_white(x: ArrayLike, features: int) -> FloatArray:
    """Return whitened samples, float64 [n, features], the last column ones.

    Raises:
        TypeError: They are no floats.
        ValueError: Their shape is wrong, a value is beyond `LARGEST`, or the last column holds anything but ones.
    """
    checked = batched(reals(x, "x"), (features,), "x")
    if np.abs(checked).max() > LARGEST or not (checked[:, -1] == 1).all():
        raise ValueError(
            f"`x` must lie in [-{LARGEST:g}, {LARGEST:g}], with ones in the last column; give what a whitening made"
        )
    return checked


def checked_samples(x: ArrayLike, labels: ArrayLike, classes: int) -> tuple[FloatArray, FloatArray]:
    """Return whitened samples and their targets.

    Raises:
        TypeError: An argument has another type.
        ValueError: A shape or a value is wrong, or there are other numbers of samples and labels.
    """
    y = targets(labels, classes)
    white = require_white(x, np.shape(x)[-1] if np.ndim(x) else 0)
    if len(white) != len(y):
        raise ValueError(f"`labels` must be as many as samples, {len(white)}, got {len(y)}")
    return white, y


def fit(x: ArrayLike, labels: ArrayLike, classes: int, descent: Descent) -> FloatArray:
    """Train a head in the clear, step by step as a trainer does on ciphertexts.

    Args:
        x: Whitened samples, float64 [n, features] in [-16, 16], the last column ones.
        labels: int64 [n] in [0, classes).
        classes: The number of classes.
        descent: The constants.

    Returns:
        The head, float64 [features, classes]: x @ head are the logits.

    Raises:
        TypeError: An argument has another type.
        ValueError: A shape or a value is wrong, or there are other numbers of samples and labels.
    """
    white, y = checked_samples(x, labels, classes)
    gradients: list[FloatArray] = []
    head, residuals = np.zeros((white.shape[1], classes)), y
    for row in descent.weights:
        if gradients:
            residuals = y - white @ head
        gradients.append(white.T @ residuals / len(white))
        head = sum((weight * gradient for weight, gradient in zip(row, gradients, strict=True)), np.zeros_like(head))
    return head


def accuracy(x: ArrayLike, labels: ArrayLike, head: FloatArray) -> float:
    """Return the share of samples, whitened as in training, whose largest logit is their label's: from 0 to 1."""
    white = require_white(x, len(head))
    return float((np.argmax(white @ head, axis=1) == integers(labels, "labels")).mean())
