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
FLAT = 1e-9  # a curvature beside the slope
ROUNDS = 10  # in which what channels share and what they do not is solved in turn
EVEN_BUT_FOR_HALF_X = ("relu", "gelu", "gelu_tanh", "silu", "softplus", "hardswish")  # f(x) - f(-x) = x


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
        degree: The degree, at least 2. Degree 2 gives every channel a square of its own; a higher degree gives all
            channels one polynomial, between scalings of their own.
        seen: The arguments that reach it, [n, channels, ...].
        margin: By how much the range is wider than what was seen, at least 1.
    """
    channels = seen.shape[1]
    rows = np.moveaxis(seen, 1, -1).reshape(-1, channels)
    low, high = rows.min(axis=0), rows.max(axis=0)
    count = min(ROWS, max(VALUES // channels, 1))
    if len(rows) > count:  # drawn: places at equal distances would be few columns of an image
        rows = rows[np.random.default_rng(0).choice(len(rows), count, replace=False)]
    if degree == 2:
        return _squares(activation, rows, (low + high) / 2, _widened((high - low) / 2, margin))
    return _polynomial(activation, degree, rows, _widened(np.maximum(-low, high), margin))


def _squares(activation: Activation, rows: FloatArray, middle: FloatArray, half: FloatArray) -> Fitted:
    """For every channel a (u + v)**2 + c of its own, with u = (x - middle) / half."""
    u, y = (rows - middle) / half, activation.apply(rows)
    on_grid = activation.apply(GRID[:, None] * half + middle)
    _, c1, c2 = _least_squares(lambda u: np.stack([np.ones_like(u), u, u * u], axis=-1), u, y, on_grid).T
    curvature = np.where(np.abs(c2) > FLAT * np.abs(c1), c2, FLAT * np.abs(c1))  # of a line, whose sign is rounding's
    vertex = np.divide(c1, 2.0 * curvature, out=np.zeros_like(c1), where=curvature != 0.0)
    v = np.clip(vertex, -FURTHEST_VERTEX, FURTHEST_VERTEX)
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


def _polynomial(activation: Activation, degree: int, rows: FloatArray, half: FloatArray) -> Fitted:
    """One p for all channels, and for each of them gain p(u) + offset with u = x / half.

    A function that is even but for a straight line keeps the line as it is and gets even powers alone, if the degree is
    even: half the work under encryption, and as close. The gain is then the width of the range, as if f(r x) = r f(x).
    """
    slope = odd_slope(activation) if degree % 2 == 0 else None
    step, line = (1, 0.0) if slope is None else (2, slope)

    def terms(u: FloatArray) -> FloatArray:
        return np.asarray(chebyshev.chebvander(u, degree)[..., ::step], np.float64)

    def rest(u: FloatArray) -> FloatArray:
        return activation.apply(u * half) - line * half * u

    u = rows / half
    gram, right = _normal_equations(terms, u, rest(u), rest(GRID[:, None]))
    shared, gain, offset = _shared(gram, right, None if slope is None else half)
    coefficients, ascending = np.zeros(degree + 1), np.zeros(degree + 1)
    coefficients[step::step] = shared
    converted = chebyshev.cheb2poly(coefficients)
    ascending[: len(converted) : step] = converted[::step]
    ascending[1] += line
    polynomial = Activation("polynomial", tuple(ascending.tolist()))
    return Fitted(
        before=Scale(1.0 / half, np.zeros_like(half)),
        polynomial=polynomial,
        after=Scale(gain, offset),
        degree=degree,
        low=np.full_like(half, -1.0),
        high=np.full_like(half, 1.0),
        error=_relative_error(polynomial.apply(u) * gain + offset, activation.apply(rows)),
    )


def _shared(
    gram: FloatArray, right: FloatArray, gain: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Least squares with gain * shared + offset as the coefficients of each channel, solved in turn.

    Args:
        gram: The normal equations of every channel, [channels, terms, terms]; the first term is 1.
        right: Their right sides, [channels, terms].
        gain: The gains [channels] if they are known.

    Returns:
        The shared coefficients [terms - 1] of all terms but the first, gains and offsets.
    """
    inner, cross, ones = gram[:, 1:, 1:], gram[:, 1:, 0], gram[:, 0, 0]
    own = np.linalg.solve(gram, right[..., None])[..., 0]
    shared = np.linalg.svd(own[:, 1:], full_matrices=False)[2][0]
    gains, offset = np.ones(len(gram)) if gain is None else gain, own[:, 0]
    for _ in range(ROUNDS):
        if gain is None:
            square, mean = inner @ shared @ shared, cross @ shared
            pairs = np.stack([np.stack([square, mean], axis=-1), np.stack([mean, ones], axis=-1)], axis=-2)
            values = np.stack([right[:, 1:] @ shared, right[:, 0]], axis=-1)
            gains, offset = (np.linalg.pinv(pairs, hermitian=True) @ values[..., None])[..., 0].T
        total = np.einsum("c,ckl->kl", gains**2, inner)
        shared = np.linalg.pinv(total, hermitian=True) @ (gains @ (right[:, 1:] - offset[:, None] * cross))
        if gain is None:
            size = np.abs(shared).sum() or 1.0
            shared, gains = shared / size, gains * size
        else:
            offset = (right[:, 0] - gains * (cross @ shared)) / ones
    return np.asarray(shared, np.float64), gains, np.asarray(offset, np.float64)


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


def _normal_equations(
    basis: Callable[[FloatArray], FloatArray], u: FloatArray, y: FloatArray, on_grid: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Of every channel, [channels, terms, terms] and [channels, terms].

    Args:
        basis: The terms [..., channels, terms] of arguments [..., channels].
        u: Arguments that were seen, [n, channels].
        y: Values for them, [n, channels].
        on_grid: Values on the grid, [grid, channels].
    """
    seen, grid = basis(u), basis(np.broadcast_to(GRID[:, None], on_grid.shape))
    gram, right = (
        np.einsum("nck,nc...->ck...", seen, values, optimize=True) / len(u)
        + GRID_WEIGHT / len(GRID) * np.einsum("nck,nc...->ck...", grid, held, optimize=True)
        for values, held in ((seen, grid), (y, on_grid))
    )
    return gram, right


def _least_squares(
    basis: Callable[[FloatArray], FloatArray], u: FloatArray, y: FloatArray, on_grid: FloatArray
) -> FloatArray:
    """Coefficients [channels, terms]; see `_normal_equations`."""
    gram, right = _normal_equations(basis, u, y, on_grid)
    return np.asarray(np.linalg.solve(gram, right[..., None])[..., 0], np.float64)
