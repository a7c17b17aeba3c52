"""The float functions of `intnn.layers.nodes.Activation`, and two more, as tables between two integer scales.

An integer q at scale s stands for the real number q / s. Every function here has the same signature,

    (domain, scale_in, scale_out, codomain) -> Lut

and tabulates q -> round(f(q / scale_in) * scale_out), halves up, saturated into ``codomain``. Piecewise polynomial
functions are rounded from exact fractions, all others from float64.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from intnn.layers.nodes import Activation
from intnn.values.domain import IntDomain
from intnn.values.lut import Lut
from intnn.values.rounding import divide_half_up

Tabulator = Callable[[IntDomain, float, float, IntDomain], Lut]


def relu(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of max(x, 0)."""
    return table(lambda x: max(x, Fraction(0)), domain, scale_in, scale_out, codomain, "relu")


def square(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of x**2."""
    return table(lambda x: x * x, domain, scale_in, scale_out, codomain, "square")


def sign(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of the sign, which is -1, 0 or 1."""
    return table(lambda x: Fraction((x > 0) - (x < 0)), domain, scale_in, scale_out, codomain, "sign")


def requantise(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of the identity, which brings integers from one scale to another."""
    return table(lambda x: x, domain, scale_in, scale_out, codomain, "requantise")


def tanh(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of the hyperbolic tangent."""
    return table(lambda x: Fraction(math.tanh(x)), domain, scale_in, scale_out, codomain, "tanh")


def sigmoid(domain: IntDomain, scale_in: float, scale_out: float, codomain: IntDomain) -> Lut:
    """The table of 1 / (1 + exp(-x))."""
    # tanh takes the place of an exponential that could overflow.
    return table(
        lambda x: (1 + Fraction(math.tanh(x / 2))) / 2, domain, scale_in, scale_out, codomain, "sigmoid"
    )  # fmt: skip


def polynomial(coefficients: tuple[float, ...]) -> Tabulator:
    """The tabulator of c[0] + c[1] x + c[2] x**2 + ..."""
    exact = [Fraction(c) for c in coefficients]

    def value(x: Fraction) -> Fraction:
        total = Fraction(0)
        for coefficient in reversed(exact):
            total = total * x + coefficient
        return total

    return lambda domain, scale_in, scale_out, codomain: table(
        value, domain, scale_in, scale_out, codomain, "polynomial"
    )


def of(activation: Activation) -> Tabulator:
    """The tabulator of a float activation."""
    if activation.name == "polynomial":
        return polynomial(activation.coefficients)
    exact = {"relu": relu, "square": square, "tanh": tanh, "sigmoid": sigmoid}
    return exact.get(activation.name) or _rounded(activation)


def _rounded(activation: Activation) -> Tabulator:
    """The tabulator of a function by its float64 values."""

    def value(x: Fraction) -> Fraction:
        return Fraction(float(activation.apply(np.array([float(x)]))[0]))

    return lambda domain, scale_in, scale_out, codomain: table(
        value, domain, scale_in, scale_out, codomain, activation.name
    )


def table(
    f: Callable[[Fraction], Fraction],
    domain: IntDomain,
    scale_in: float,
    scale_out: float,
    codomain: IntDomain,
    name: str = "",
) -> Lut:
    """The table of any real function between two scales.

    Args:
        f: The function; it is called with the exact fraction q / ``scale_in`` and returns a fraction.
        domain: The integers q.
        scale_in: The integer units per real unit of the argument, positive.
        scale_out: The integer units per real unit of the value, positive.
        codomain: The interval in which values saturate.
        name: The table's label.

    Raises:
        ValueError: A scale is not positive and finite.
    """
    for label, scale in (("scale_in", scale_in), ("scale_out", scale_out)):
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"`{label}` must be positive and finite, got {scale}")
    unit_in, unit_out = Fraction(scale_in), Fraction(scale_out)

    def value(q: int) -> int:
        y = f(q / unit_in) * unit_out
        return min(max(divide_half_up(y.numerator, y.denominator), codomain.lo), codomain.hi)

    return Lut.from_callable(value, domain, codomain, name)
