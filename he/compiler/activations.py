"""Polynomial activations in the form in which CKKS evaluates them: monic, and with a scale that is free to choose.

With u = x / a and a polynomial p of degree d and leading coefficient c, p(x) = c a^d q(u), where q is monic: its
coefficient j is p's, divided by c a^(d - j). The layer before makes u of x, and the layer after makes up for c a^d. So
a leading coefficient costs nothing, and a polynomial of degree 2 is the square of a sum, plus a constant.
"""

from __future__ import annotations

import numpy as np

from intnn import Activation

SQUARE = (0.0, 0.0, 1.0)

#: The farthest that a parabola's vertex may be from 0, in what its argument reaches; farther, a square loses bits.
_FARTHEST_VERTEX = 2.0

_polynomials = np.polynomial.polynomial


def coefficients(activation: Activation) -> tuple[float, ...]:
    """Return a polynomial's coefficients in ascending order, up to the last that is not 0; at least one."""
    given = SQUARE if activation.name == "square" else activation.coefficients
    return tuple(np.trim_zeros(np.array(given, np.float64), "b").tolist()) or (0.0,)


def polynomial(found: tuple[float, ...]) -> Activation:
    """Return the activation with these coefficients; x^2 is the square."""
    return Activation("square") if found == SQUARE else Activation("polynomial", found)


def values(activation: Activation, x: np.ndarray) -> np.ndarray:
    """Return the polynomial's values at every element of `x`."""
    return _polynomials.polyval(x, coefficients(activation))


def monic(activation: Activation, farthest: float) -> tuple[Activation, float, float, float]:
    """Return a monic polynomial q, and c, m and e, such that p(x) = c q(x + m) + c e.

    Args:
        activation: a polynomial p of degree 1 or more.
        farthest: how far x may be from 0. A parabola is made a square unless its vertex is far beyond.
    """
    *lower, c = coefficients(activation)
    found = tuple(float(x) for x in np.array([*lower, c]) / c)
    if len(found) == 3 and abs(m := found[1] / 2) <= _FARTHEST_VERTEX * farthest:
        return Activation("square"), c, m, found[0] - m * m
    return polynomial(found), c, 0.0, 0.0


def amplified(activation: Activation, factor: float) -> Activation:
    """Return the monic polynomial q' with q'(factor x) = factor^d q(x) for a monic q of degree d."""
    found = coefficients(activation)
    degree = len(found) - 1
    return polynomial(tuple(x * factor ** (degree - j) for j, x in enumerate(found)))


def degree(activation: Activation) -> int:
    """Return the polynomial's degree."""
    return len(coefficients(activation)) - 1
