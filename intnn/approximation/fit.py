"""Polynomials in the place of activations, fitted to what a layer really gives them.

A polynomial's argument u lies in [-1, 1] for the inputs that were seen, with a margin. Fits are weighted least squares:
by the values that were seen, and by `GRID_WEIGHT` of Chebyshev nodes, which hold a polynomial where few were seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from intnn.layers.nodes import Activation, Scale
from intnn.values.arrays import FloatArray

GRID_WEIGHT = 0.005  # of the values that were seen; ten times as much costs accuracy
GRID = np.cos(np.pi * (np.arange(200) + 0.5) / 200)
ROWS, VALUES = 5000, 1 << 20  # of a channel, and of all of them, that a fit looks at
SMALLEST_RANGE = 0.05  # of a layer's largest: a channel that hardly varies is not blown up
FURTHEST_VERTEX = 2.0  # of a square, in half widths of the range: one further away is a straight line, and cancels

EVEN_BUT_FOR_HALF_X = ("relu", "gelu", "gelu_tanh", "silu", "softplus", "hardswish")  # f(x) - f(-x) = x
HOMOGENEOUS = (*EVEN_BUT_FOR_HALF_X, "leaky_relu", "elu")  # f(r x) / r is much the same for all large r


@dataclass(frozen=True)
class Fitted:
    """One activation as a scaling, a polynomial and another scaling.

    Attributes:
        before: From the activation's argument to the polynomial's, per channel.
        polynomial: A polynomial or a square.
        after: From the polynomial's value to the activation's, per channel.
        degree: The polynomial's degree.
        low: The smallest argument of the polynomial that it was fitted for, [channels], at least -1.
        high: The largest one, [channels], at most 1.
        error: The root of the mean squared error on the values that were seen, as a part of the root of the mean square
            of the activation's values there.
    """

    before: Scale
    polynomial: Activation
    after: Scale
    degree: int
    low: FloatArray
    high: FloatArray
    error: float


def fitted(activation: Activation, degree: int, seen: FloatArray, margin: float) -> Fitted:
    """The polynomial that takes the place of an activation.

    Args:
        activation: The function.
        degree: The degree, at least 2. Degree 2 gives every channel a square of its own, higher degrees give all
            channels one polynomial.
        seen: The arguments that reach it, [n, channels, ...].
        margin: By how much the range is wider than what was seen, at least 1.
    """
    channels = seen.shape[1]
    rows = np.moveaxis(seen, 1, -1).reshape(-1, channels)
    low, high = rows.min(axis=0), rows.max(axis=0)
    rows = rows[:: -(-len(rows) // min(ROWS, max(VALUES // channels, 1)))]
    if degree == 2:
        return _squares(activation, rows, (low + high) / 2, _widened((high - low) / 2, margin))
    furthest, ones = np.maximum(-low, high), np.ones(channels)
    if odd_slope(activation) is not None:
        low, high = -furthest, furthest
    middle, half = ones * (low.min() + high.max()) / 2, ones * (high.max() - low.min()) / 2
    fits = [_polynomial(activation, degree, rows, middle, _widened(half, margin), ones)]
    if activation.name in HOMOGENEOUS:
        half = _widened(furthest, margin)
        fits.append(_polynomial(activation, degree, rows, 0.0 * half, half, half))
    return min(fits, key=lambda fit: fit.error)


def _squares(activation: Activation, rows: FloatArray, middle: FloatArray, half: FloatArray) -> Fitted:
    """For every channel a (u + v)**2 + c of its own, with u = (x - middle) / half."""
    u, y = (rows - middle) / half, activation.apply(rows)
    on_grid = activation.apply(GRID[:, None] * half + middle)
    _, c1, c2 = _least_squares(lambda u: np.stack([np.ones_like(u), u, u * u], axis=-1), u, y, on_grid).T
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        v = np.clip(np.where(c1 == 0.0, 0.0, c1 / (2.0 * c2)), -FURTHEST_VERTEX, FURTHEST_VERTEX)
    c, a = _least_squares(lambda u: np.stack([np.ones_like(u), (u + v) ** 2], axis=-1), u, y, on_grid).T
    width = 1.0 + np.abs(v)
    return Fitted(
        before=Scale(1.0 / (half * width), (v - middle / half) / width),
        polynomial=Activation("square"),
        after=Scale(a * width**2, c),
        degree=2,
        low=(v - 1.0) / width,
        high=(v + 1.0) / width,
        error=_relative_error(a * (u + v) ** 2 + c, y),
    )


def _polynomial(
    activation: Activation,
    degree: int,
    rows: FloatArray,
    middle: FloatArray,
    half: FloatArray,
    gain: FloatArray,
) -> Fitted:
    """One p for all channels, gain p(u) with u = (x - middle) / half."""
    slope, step, line = odd_slope(activation), 1, 0.0
    if slope is not None and degree % 2 == 0:
        step, line = 2, float(slope * half[0] / gain[0])

    def rest(u: FloatArray) -> FloatArray:
        return activation.apply(u * half + middle) / gain - line * u

    def terms(u: FloatArray) -> FloatArray:
        return np.asarray(chebyshev.chebvander(u, degree)[..., ::step], np.float64)

    u = (rows - middle) / half
    (part,) = _least_squares(
        terms,
        u.reshape(-1, 1),
        rest(u).reshape(-1, 1),
        rest(GRID[:, None]).mean(axis=1, keepdims=True),
    )
    coefficients, ascending = np.zeros(degree + 1), np.zeros(degree + 1)
    coefficients[::step] = part
    converted = chebyshev.cheb2poly(coefficients)
    ascending[: len(converted) : step] = converted[::step]
    ascending[1] += line
    polynomial = Activation("polynomial", tuple(ascending.tolist()))
    return Fitted(
        before=Scale(1.0 / half, -middle / half),
        polynomial=polynomial,
        after=Scale(gain, np.zeros_like(gain)),
        degree=degree,
        low=np.full_like(half, -1.0),
        high=np.full_like(half, 1.0),
        error=_relative_error(polynomial.apply(u) * gain, activation.apply(rows)),
    )


def odd_slope(activation: Activation) -> float | None:
    """The slope of a function's odd part (f(x) - f(-x)) / 2 where that is a straight line; None elsewhere."""
    if activation.name == "leaky_relu":
        return (1.0 + activation.coefficients[0]) / 2.0
    return 0.5 if activation.name in EVEN_BUT_FOR_HALF_X else None


def _widened(half: FloatArray, margin: float) -> FloatArray:
    """Half widths with a margin, none of them zero or tiny beside the layer's largest."""
    return np.maximum(half, SMALLEST_RANGE * half.max() or 1.0) * margin


def _relative_error(p: FloatArray, y: FloatArray) -> float:
    size = np.sqrt(np.mean(y * y))
    return float(np.sqrt(np.mean((p - y) ** 2)) / size) if size else 0.0


def _least_squares(
    basis: Callable[[FloatArray], FloatArray], u: FloatArray, y: FloatArray, on_grid: FloatArray
) -> FloatArray:
    """Coefficients [channels, terms] by arguments and values [n, channels], and values on the grid [grid, channels]."""
    seen, grid = basis(u), basis(np.broadcast_to(GRID[:, None], on_grid.shape))  # [n or grid, channels, terms]
    gram, right = (
        np.einsum("nck,nc...->ck...", seen, values) / len(u)
        + GRID_WEIGHT / len(GRID) * np.einsum("nck,nc...->ck...", grid, held)
        for values, held in ((seen, grid), (y, on_grid))
    )
    return np.asarray(np.linalg.solve(gram, right[..., None])[..., 0], np.float64)
