"""A whole network of one hidden layer with squares, trained by full-batch descent: the clear twin of encrypted steps.

With samples X [n, features], whitened or at least scaled, the last column ones, weights V [features, hidden] and
W [hidden + 1, classes], whose last row is added, and targets Y,

    U = X V                            Z = [U^2, 1] W                    R = Z - Y
    dW = [U^2, 1]^T R / n              dV = X^T (2 U * (R W'^T)) / n     W' is W without its last row

are the gradients of |R|^2 / (2 n). Steps are those of the heavy ball (B. T. Polyak, "Some methods of speeding up the
convergence of iteration methods", 1964): weights move against the gradient, at a rate for each layer, and by momentum
times their last move, which is known from the weights before. So nothing but weights goes from step to step.

The first layer may be a convolution: then V [taps, filters] is used at many places, `Windows`, and there are as many
hidden units for every filter; dV is a sum over places.

All of it is sums and products, so that it can be done on ciphertexts, and a step takes six levels, one for a product
each: X V, squares, logits, R W'^T, times 2 U, and X^T. Squares of hidden units are what makes steps diverge where rates
are too large, and what ciphertexts have no room for where units grow: `fit_network` refuses both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from he.training.draws import DEVIATION, nearly_normal
from he.training.head import checked_samples, require_white
from intnn.training import generator
from intnn.values.arrays import FloatArray, IntArray, frozen, instance, integer, integers, real, reals
from intnn.values.value_object import ValueObject

LEVELS = 6  # of a step
MOST_HIDDEN = 1 << 10
MOST_STEPS = 1 << 16


class ReachError(ValueError):
    """A weight, a hidden unit, a residual or a gradient has grown beyond what is planned: rates are too large."""


@dataclass(frozen=True)
class Windows(ValueObject):
    """Where the filters of a convolution are put on square images, whose pixels are features row by row.

    Attributes:
        image: The pixels of a side, from 1 to 64.
        window: The pixels of a filter's side, from 1 to those of the image.
        stride: The pixels from one place to the next, at least 1.

    Raises:
        TypeError: A number has another type.
        ValueError: It is out of its range.
    """

    image: int
    window: int
    stride: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", integer(self.image, "image", 1, 64))
        object.__setattr__(self, "window", integer(self.window, "window", 1, self.image))
        object.__setattr__(self, "stride", integer(self.stride, "stride", 1))

    @cached_property
    def indices(self) -> IntArray:
        """The features that a filter's taps meet at every place, the column of ones last: int64 [places, taps]."""
        corners = range(0, self.image - self.window + 1, self.stride)
        taps = [self.image * y + x for y in range(self.window) for x in range(self.window)]
        ones = self.image**2
        return np.array([[*(self.image * y + x + tap for tap in taps), ones] for y in corners for x in corners])


@dataclass(frozen=True)
class NetworkDescent(ValueObject):
    """The public constants of a network and of its training.

    Attributes:
        hidden: The hidden units, from 1 to 1024; of a convolution, the filters.
        steps: The steps, from 1 to 65536.
        first_rate: The rate of V, above 0.
        second_rate: The rate of W, above 0.
        momentum: What is kept of the last move, in [0, 1).
        reach: What no weight, hidden unit, residual or gradient may exceed on what is trained on, above 0.
        seed: Names the weights at the start, in [0, 2**64).
        windows: Where the filters of a convolution are put; None for a dense first layer.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range.
    """

    hidden: int
    steps: int
    first_rate: float
    second_rate: float
    momentum: float = 0.9
    reach: float = 8.0
    seed: int = 0
    windows: Windows | None = None

    def __post_init__(self) -> None:
        if self.windows is not None:
            instance(self.windows, Windows, "windows")
        ranges = {"hidden": (1, MOST_HIDDEN), "steps": (1, MOST_STEPS), "seed": (0, (1 << 64) - 1)}
        for name, (low, high) in ranges.items():
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        for name in ("first_rate", "second_rate", "reach"):
            value = real(getattr(self, name), name)
            if not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be finite and above 0, got {value}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "momentum", real(self.momentum, "momentum"))
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1), got {self.momentum}")

    def indices(self, features: int) -> IntArray:
        """Return the features that every hidden unit of a place meets, int64 [places, taps]; one place if dense.

        Raises:
            ValueError: A convolution's images have another number of pixels.
        """
        if self.windows is None:
            return np.arange(features)[None]
        if features != self.windows.image**2 + 1:
            raise ValueError(f"`features` must be {self.windows.image**2 + 1}, pixels and ones, got {features}")
        return self.windows.indices


@dataclass(frozen=True, eq=False)
class SquareNetwork(ValueObject):
    """The weights of a network.

    Attributes:
        first: V, float64 [taps, hidden]; of a dense layer, a tap is a feature.
        second: W, float64 [places * hidden + 1, classes].
        indices: The feature that every tap meets, int64 [places, taps].

    Raises:
        TypeError: An argument holds no numbers of its kind.
        ValueError: The shapes do not fit each other, or a weight is not finite.
    """

    first: FloatArray
    second: FloatArray
    indices: IntArray

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            object.__setattr__(self, name, frozen(reals(getattr(self, name), name)))
        object.__setattr__(self, "indices", frozen(integers(self.indices, "indices")))
        first, second, indices = self.first.shape, self.second.shape, self.indices.shape
        fit = [len(shape) for shape in (first, second, indices)] == [2, 2, 2]
        if not fit or first[0] != indices[1] or second[0] != indices[0] * first[1] + 1:
            raise ValueError(
                "`first`, `second` and `indices` must have shapes [t, h], [p h + 1, classes] and [p, t], got "
                f"{first}, {second} and {indices}"
            )

    @staticmethod
    def dense(first: ArrayLike, second: ArrayLike) -> SquareNetwork:
        """Return a network whose first layer V [features, hidden] is dense, and W [hidden + 1, classes].

        Raises:
            TypeError: An argument holds no floats.
            ValueError: The shapes do not fit each other, or a weight is not finite.
        """
        weights = reals(first, "first")
        return SquareNetwork(weights, reals(second, "second"), np.arange(len(weights))[None])

    @staticmethod
    def initial(features: int, classes: int, descent: NetworkDescent) -> SquareNetwork:
        """Draw the weights at the start, which are public and the same bits everywhere.

        A hidden unit is 1 plus a sum with a deviation of about 0.3 on whitened samples, where a square is mostly
        linear; logits begin near 0.
        """
        indices = descent.indices(features)
        places, taps = indices.shape
        units = places * descent.hidden
        first = 0.3 / math.sqrt(taps) * _drawn(descent.seed, 0, taps * descent.hidden)
        second = 0.1 / math.sqrt(units) * _drawn(descent.seed, 1, (units + 1) * classes)
        first = first.reshape(taps, descent.hidden)
        first[-1] = 1
        return SquareNetwork(first, second.reshape(units + 1, classes), indices)

    @property
    def features(self) -> int:
        """The number of features, with the column of ones."""
        return int(self.indices.max()) + 1

    def units(self, white: FloatArray) -> FloatArray:
        """Return U for samples [n, features]: float64 [n, units], place by place."""
        return (white[:, self.indices] @ self.first).reshape(len(white), -1)

    def logits(self, x: ArrayLike) -> FloatArray:
        """Compute the logits, float64 [n, classes], of whitened samples with a column of ones, [n, features].

        Raises:
            TypeError: They are no floats.
            ValueError: A shape or a value is wrong.
        """
        white = require_white(x, self.features)
        return with_ones(self.units(white) ** 2) @ self.second

    def accuracy(self, x: ArrayLike, labels: ArrayLike) -> float:
        """Return the share of samples whose largest logit is their label's: from 0 to 1."""
        return float((np.argmax(self.logits(x), axis=1) == integers(labels, "labels")).mean())

    @property
    def reach(self) -> float:
        """The largest absolute value of a weight."""
        return float(max(np.abs(self.first).max(), np.abs(self.second).max()))

    def moved(self, before: SquareNetwork, found: Gradients, descent: NetworkDescent) -> SquareNetwork:
        """Return the network after a step with these gradients, behind the one that has led here from another."""
        layers = (
            (self.first, before.first, descent.first_rate, found.first),
            (self.second, before.second, descent.second_rate, found.second),
        )
        m = descent.momentum
        first, second = ((1 + m) * now - m * last - rate * gradient for now, last, rate, gradient in layers)
        return SquareNetwork(first, second, self.indices)


@dataclass(frozen=True, eq=False)
class Gradients:
    """What a step computes.

    Attributes:
        first: dV, float64 [taps, hidden].
        second: dW, float64 [units + 1, classes].
        reach: The largest absolute value of a hidden unit, a residual or a gradient.
    """

    first: FloatArray
    second: FloatArray
    reach: float


def gradients(network: SquareNetwork, white: FloatArray, y: FloatArray) -> Gradients:
    """Compute the gradients on whitened samples [n, features] with these targets [n, classes]."""
    units = network.units(white)
    squares = with_ones(units**2)
    residuals = squares @ network.second - y
    errors = residuals @ network.second[:-1].T
    inner = (2 * units * errors).reshape(len(white), len(network.indices), -1)
    first = np.tensordot(white[:, network.indices], inner, axes=([0, 1], [0, 1])) / len(white)
    second = squares.T @ residuals / len(white)
    reach = max(float(np.abs(values).max()) for values in (units, residuals, first, second))
    return Gradients(first, second, reach)


def fit_network(
    x: ArrayLike,
    labels: ArrayLike,
    classes: int,
    descent: NetworkDescent,
    progress: Callable[[int, SquareNetwork, float], None] | None = None,
) -> SquareNetwork:
    """Train a network in the clear, step by step as is done on ciphertexts.

    Args:
        x: Whitened samples, float64 [n, features] in [-16, 16], the last column ones.
        labels: int64 [n] in [0, classes).
        classes: The number of classes.
        descent: The constants.
        progress: A function that is called after every step with the steps made, the network, and the reach of the
            step.

    Raises:
        ReachError: A weight, a unit, a residual or a gradient is beyond the reach.
        TypeError: An argument has another type.
        ValueError: A shape or a value is wrong, or there are other numbers of samples and labels.
    """
    instance(descent, NetworkDescent, "descent")
    white, y = checked_samples(x, labels, classes)
    before = network = SquareNetwork.initial(white.shape[1], classes, descent)
    for step in range(1, descent.steps + 1):
        found = gradients(network, white, y)
        before, network = network, network.moved(before, found, descent)
        reach = max(found.reach, network.reach)
        if not reach <= descent.reach:
            raise ReachError(
                f"what a step computes must stay within `reach`, {descent.reach:g}, got {reach:.3g} in step {step}; "
                "lower the rates, or plan for a larger reach"
            )
        if progress is not None:
            progress(step, network, reach)
    return network


def with_ones(values: FloatArray) -> FloatArray:
    """Append a column of ones to values [n, m]."""
    return np.concatenate([values, np.ones((len(values), 1))], axis=1)


def _drawn(seed: int, layer: int, count: int) -> FloatArray:
    """Draw numbers of mean 0 and deviation 1."""
    return nearly_normal(generator.key(seed, generator.WEIGHTS, layer), count) / DEVIATION
