"""Lines below and above what is not linear, valid at the integers of an interval and at no other numbers.

A line of a function f on an interval is given by three integers: q f(z) >= p z + b for every integer z of it, or <= for
the line above. So nothing is rounded, and a table's line may be steeper than one that also held between its points.
"""

from typing import NamedTuple

import numpy as np

from intnn.certification.hulls import edges
from intnn.certification.transposed import magnitude
from intnn.layers.activations import IntPolynomial, LutActivation, Requantise
from intnn.layers.boxes import Box
from intnn.values.arrays import Array, IntArray, exactly
from intnn.values.lut import Lut

EXACT = 1 << 62  # what products of differences of a table's values stay below, or are Python ints

#: What is not linear; other layers and joins are.
CURVED = (LutActivation, IntPolynomial, Requantise)


class Lines(NamedTuple):
    """One line for every element: q f(z) >= p z + b, or <=.

    Attributes:
        p: The slopes' numerators, [n, *shape].
        q: Their denominators, of the same shape, positive.
        b: The offsets, of the same shape.
    """

    p: Array
    q: Array
    b: Array


def lines(node: LutActivation | IntPolynomial | Requantise, read: Box, given: Box) -> tuple[Lines, Lines]:
    """The lines below and above a layer's outputs.

    Tables have the lines through the edges of their lower and upper hulls (see `hulls.edges`); squares and other
    polynomials of degree 2 their tangents and chords, both with the slope at the middle of the interval; rescalings
    that do not saturate their own slope. Everything else has constant lines: the ends of its outputs.

    Args:
        node: The layer.
        read: The boxes of its input, integers [n, *shape].
        given: The boxes of its output.

    Returns:
        The lines below, and the lines above.
    """
    low, high = read
    match node:
        case LutActivation() if _is_small(node.lut):
            return _of_table(node.lut, exactly(low, np.int64), exactly(high, np.int64))
        case IntPolynomial() if node.degree <= 2:
            return _of_parabola((*node.coefficients, 0)[:3], _integers(low), _integers(high))
        case Requantise():
            return _of_rescaling(node, _integers(low), _integers(high), _constant(given))
    return _constant(given)


def _constant(given: Box) -> tuple[Lines, Lines]:
    low, high = map(_integers, given)
    return Lines(np.zeros_like(low), np.ones_like(low), low), Lines(np.zeros_like(high), np.ones_like(high), high)


def _is_small(lut: Lut) -> bool:
    return _greatest_rise(lut) * lut.domain.size < EXACT


def _greatest_rise(lut: Lut) -> int:
    return 2 * lut.range.magnitude


def _of_table(lut: Lut, low: IntArray, high: IntArray) -> tuple[Lines, Lines]:
    size, lowest = lut.domain.size, lut.domain.lo
    kind = np.int64 if _greatest_rise(lut) * lut.domain.magnitude < EXACT else object  # of a line's value at zero
    pairs, places = np.unique((low - lowest) * size + (high - lowest), return_inverse=True)
    first, last = pairs // size, pairs % size

    def below(table: IntArray, turned: int) -> Lines:
        ends = np.empty((len(pairs), 2), np.int64)
        edges(table, first, last, ends)
        a, b = ends.T
        p, q = table[b] - table[a], np.maximum(b - a, 1)
        values = turned * p, q, turned * (q * table[a] - exactly(p, kind) * (a + lowest))
        return Lines(*(value[places].reshape(low.shape) for value in values))

    return below(lut.table, 1), below(-lut.table, -1)


def _of_parabola(coefficients: tuple[int, ...], low: Array, high: Array) -> tuple[Lines, Lines]:
    """The polynomial (c (low + high) + d) z + e + c (z^2 - (low + high) z), whose last term has these extremes."""
    e, d, c = coefficients
    kind = object if magnitude(low, high) ** 2 * (abs(c) + 1) + abs(d) + abs(e) >= EXACT >> 2 else np.int64
    low, high = exactly(low, kind), exactly(high, kind)
    middle = (low + high) // 2
    dips = c * -(middle * (low + high - middle)), c * -(low * high)
    slope, one = c * (low + high) + d, np.ones_like(low)
    return Lines(slope, one, e + np.minimum(*dips)), Lines(slope, one, e + np.maximum(*dips))


def _of_rescaling(node: Requantise, low: Array, high: Array, constant: tuple[Lines, Lines]) -> tuple[Lines, Lines]:
    """Where nothing saturates, 2**shift f(z) = multiplier z + half - remainder, the remainder below 2**shift."""
    whole = 1 << node.shift
    half = whole >> 1
    factors = node.multiplier.astype(object).reshape(-1, *[1] * (low.ndim - 2))
    quotients = [(end.astype(object) * factors + half) // whole for end in (low, high)]
    inside = np.logical_and.reduce([(node.domain.lo <= y) & (y <= node.domain.hi) for y in quotients]).astype(bool)
    own = factors + np.zeros_like(quotients[0]), whole, half

    def chosen(flat: Lines, lost: int) -> Lines:
        p, q, b = own
        return Lines(*(np.where(inside, mine, other) for mine, other in zip((p, q, b - lost), flat, strict=True)))

    below, above = constant
    return chosen(below, whole - 1), chosen(above, 0)


def _integers(values: Array) -> Array:
    return values if values.dtype == object else exactly(values, np.int64)
