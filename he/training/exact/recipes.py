"""What to train exactly on images with: how they become integers, and the network.

All constants were chosen by five-fold cross-validation on the training set, twice, and the test set was looked at once,
at the end. Tried were weights of 5 and 6 bits, inputs of 3 and 4 bits, and for the chosen bits rates of v of 1/30, 1/15
and 1/9, of w of 1/20 and 1/10, and velocities that keep 7/8 and 15/16 of themselves, at 60 steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from he.training.exact.plan import ExactPlan
from he.training.whitening import Moments, Whitening
from intnn.training.squares.plan import SquarePlan
from intnn.values.arrays import IntArray, instance, integer, real, reals
from intnn.values.rounding import round_half_up
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class ExactRecipe(ValueObject):
    """How images become inputs, and inputs a network.

    Attributes:
        calibration: How many samples, the first ones, the owner's whitening is made from; at least 2.
        ridge: What is added to every variance, in mean variances: above 0.
        scale: What whitened features are multiplied with before they are rounded: above 0.
        squares: The network, but for the number of samples and classes. Its inputs are as many whitened features, and
            a constant.
        steps: How many steps it is trained for, at least 1.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of its range.
    """

    calibration: int
    ridge: float
    scale: float
    squares: SquarePlan
    steps: int

    def __post_init__(self) -> None:
        instance(self.squares, SquarePlan, "squares")
        for name, least in (("calibration", 2), ("steps", 1)):
            object.__setattr__(self, name, integer(getattr(self, name), name, least))
        for name in ("ridge", "scale"):
            value = real(getattr(self, name), name)
            if not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be finite and above 0, got {value}")
            object.__setattr__(self, name, value)

    def whitening(self, images: ArrayLike) -> Whitening:
        """Make the owner's whitening, which keeps the directions in which images differ most.

        Args:
            images: float64 [n, pixels].

        Raises:
            TypeError: They are no floats.
            ValueError: There are fewer of them than the calibration takes, or all of them are equal.
        """
        rows = reals(images, "images")
        if len(rows) < self.calibration:
            raise ValueError(f"`images` must be at least {self.calibration}, got {len(rows)}")
        return Whitening.of(Moments.of(rows[: self.calibration]), self.ridge, keep=self.squares.features - 1)

    def inputs(self, whitening: Whitening, images: ArrayLike) -> IntArray:
        """Return the inputs that the network is trained on, int64 [n, features]: rounded, halves up, and saturated.

        Raises:
            TypeError: The images are no floats.
            ValueError: Their shape is wrong.
        """
        limit = self.squares.input_limit
        inputs = round_half_up(whitening.apply(images) * self.scale).clip(-limit, limit)
        inputs[:, -1] = limit
        return np.ascontiguousarray(inputs)

    def plan(self, samples: int, classes: int) -> ExactPlan:
        """Return the plan for so many samples and classes.

        Raises:
            TypeError: A number is no integer.
            ValueError: It is out of its range.
            ParameterError: No parameters that are secure hold so many samples.
        """
        return ExactPlan(replace(self.squares, samples=samples, classes=classes))


#: Images of 8 x 8 pixels: 32 inputs of 4 bits, 16 hidden units, weights of 6 bits.
DIGITS = ExactRecipe(
    calibration=400,
    ridge=0.01,
    scale=3.0,
    squares=SquarePlan(
        samples=1,
        features=33,
        hidden=16,
        classes=10,
        input_limit=7,
        first_limit=31,
        second_limit=31,
        unit=144,
        second_unit=77,
        first_rate=Fraction(1, 9),
        second_rate=Fraction(1, 20),
    ),
    steps=60,
)
