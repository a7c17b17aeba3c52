"""The plan of a network of one hidden layer with squares, trained in integers, and how far its numbers reach.

For inputs X [n, features], weights V [features, hidden] and W [hidden + 1, classes], whose last row is added, and
targets Y, all of them integers,

    U = X V                              E = R W'^T                 W' is W without its last row
    R = [U^2, unit^2] W - Y              G_V = X^T (U * E)          G_W = [U^2, unit^2]^T R

are exact: nothing is divided, rounded or saturated. With v = V / unit and w = W / second_unit they are, but for a
factor, the gradients of |r|^2 / (2 n) for the network r = [(X v)^2, 1] w - y. So a step can be computed by anything
that adds and multiplies, modulo primes too, if the gradients are known to be small enough: `SquarePlan.bounds` proves
it from the ranges of inputs and weights and the number of samples. Rounding happens in the update of the weights only
(`intnn.training.squares.step`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from intnn.training.limits import RATE_BITS
from intnn.training.step import Rate
from intnn.values.arrays import integer
from intnn.values.rounding import divide_half_up
from intnn.values.value_object import ValueObject

FRACTION = 16  # bits of master weights behind the point
MOST_MOMENTUM = 15  # bits of a shift
_MOST_BITS = 62  # of what is multiplied: its limbs are cut off in int64
_MOST_SAMPLES, _MOST_UNITS, _MOST_LIMIT = 1 << 20, 1 << 12, 1 << 15


@dataclass(frozen=True)
class SquareBounds:
    """What no magnitude in a step exceeds, whatever inputs, labels and weights are within their ranges.

    Attributes:
        unit: Of U.
        square: Of U^2.
        residual: Of R; also of the logits, which are what is left without targets.
        error: Of E.
        inner: Of U * E.
        first: Of G_V.
        second: Of G_W, but for its last row.
        bias: Of the sums of the columns of R, of which the last row of G_W is unit^2 times.
    """

    unit: int
    square: int
    residual: int
    error: int
    inner: int
    first: int
    second: int
    bias: int

    @property
    def gradient(self) -> int:
        """The largest magnitude of what a step ends in: a modulus must be more than twice as large."""
        return max(self.first, self.second, self.bias)


@dataclass(frozen=True)
class SquarePlan(ValueObject):
    """The geometry of a network of squares, the ranges of its numbers, and the rule by which it is trained.

    Attributes:
        samples: The number of samples n, all of which are in every step; from 1 to 2**20.
        features: The number of inputs of a sample, from 2 to 4096; the last one is `input_limit` in every sample.
        hidden: The hidden units, from 1 to 4096.
        classes: The classes, from 2 to 4096.
        input_limit: The largest magnitude of an input, from 1 to 32768.
        first_limit: The largest magnitude of a weight of V, from 1 to 32768.
        second_limit: The same of W.
        unit: The number that stands for 1 in U, from 1 to 32768.
        second_unit: The number that stands for 1 in W, from 1 to 32768.
        first_rate: The rate of v, above 0, for inputs as they are.
        second_rate: The rate of w, above 0.
        momentum_shift: Velocities keep 1 - 2**-momentum_shift of themselves; from 0, for plain descent, to 15.
        seed: Names the weights at the start, in [0, 2**64).

    Raises:
        TypeError: A number has another type.
        ValueError: It is out of its range, or what is multiplied in a step may have more than 62 bits.
    """

    samples: int
    features: int
    hidden: int
    classes: int
    input_limit: int
    first_limit: int
    second_limit: int
    unit: int
    second_unit: int
    first_rate: Fraction
    second_rate: Fraction
    momentum_shift: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "samples": (1, _MOST_SAMPLES),
            "features": (2, _MOST_UNITS),
            "hidden": (1, _MOST_UNITS),
            "classes": (2, _MOST_UNITS),
            **dict.fromkeys(("input_limit", "first_limit", "second_limit", "unit", "second_unit"), (1, _MOST_LIMIT)),
            "momentum_shift": (0, MOST_MOMENTUM),
            "seed": (0, (1 << 64) - 1),
        }
        for name, (low, high) in ranges.items():
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        for name in ("first_rate", "second_rate"):
            rate = getattr(self, name)
            if not isinstance(rate, Fraction):
                raise TypeError(f"`{name}` must be a Fraction, got {type(rate).__name__}")
            if rate <= 0:
                raise ValueError(f"`{name}` must be above 0, got {rate}")
        bounds = self.bounds
        widest = max(bounds.inner, bounds.residual, bounds.square)
        if widest.bit_length() > _MOST_BITS:
            raise ValueError(
                f"what a step multiplies must have at most {_MOST_BITS} bits, but may have {widest.bit_length()}; "
                "lower `input_limit`, `first_limit` or `second_limit`"
            )

    @property
    def bias(self) -> int:
        """What the last row of W is multiplied with: it stands for 1 beside the squares."""
        return self.unit**2

    @property
    def target(self) -> int:
        """A target is this times classes - 1 for a sample's own class, and minus this for the others."""
        return divide_half_up(self.bias * self.second_unit, self.classes)

    @cached_property
    def bounds(self) -> SquareBounds:
        """How far every number of a step reaches at most: sums of the largest magnitudes of their terms."""
        unit = self.features * self.input_limit * self.first_limit
        square = unit**2
        logit = (self.hidden * square + self.bias) * self.second_limit
        residual = logit + (self.classes - 1) * self.target
        error = self.classes * residual * self.second_limit
        inner = unit * error
        return SquareBounds(
            unit,
            square,
            residual,
            error,
            inner,
            self.samples * self.input_limit * inner,
            self.samples * square * residual,
            self.samples * residual,
        )

    @cached_property
    def rates(self) -> tuple[Rate, Rate]:
        """What G_V and G_W are multiplied with for a step of the master weights: rounded to seven bits."""
        each = Fraction(1 << FRACTION, self.samples * self.bias)
        first = self.first_rate * each * 2 / self.second_unit**2
        return _rate(first), _rate(self.second_rate * each / self.bias)


def _rate(value: Fraction) -> Rate:
    """Return the nearest rate with a mantissa of seven bits, halves up; it may have a negative shift."""
    shift = RATE_BITS - (value.numerator.bit_length() - value.denominator.bit_length())
    if value * Fraction(2) ** shift >= 1 << RATE_BITS:
        shift -= 1
    mantissa = int(value * Fraction(2) ** shift + Fraction(1, 2))
    return Rate(mantissa, shift) if mantissa < 1 << RATE_BITS else Rate(mantissa // 2, shift - 1)
