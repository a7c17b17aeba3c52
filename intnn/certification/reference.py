"""The definition of `margins` in plain Python integers and fractions, one box and one pair of classes at a time.

A linear layer is the matrix that it makes of unit vectors; the hull below a table is the lowest of all chords.
"""

from collections.abc import Callable
from fractions import Fraction
from math import floor, prod

import numpy as np

from intnn.certification.lines import CURVED
from intnn.certification.margins import FRACTION
from intnn.layers.activations import IntPolynomial, LutActivation, Requantise
from intnn.layers.joins import Join
from intnn.layers.nodes import Node, Shape
from intnn.network.edges import INPUT
from intnn.network.network import IntNetwork
from intnn.ops import reference
from intnn.values.arrays import IntArray

Ends = list[tuple[int, int]]  # the least and the largest value of every element, in C order
Matrix = list[list[int]]  # [read, given]


def margins(network: IntNetwork, low: IntArray, high: IntArray, label: int, by_lines: bool) -> list[int]:
    """`intnn.certification.margins.margins` of one box [*network.input_shape]."""
    ends: dict[int, Ends] = {INPUT: list(zip(low.ravel().tolist(), high.ravel().tolist(), strict=True))}
    shapes = {INPUT: network.input_shape, **dict(enumerate(network.shapes))}
    for i, node in enumerate(network.layers):
        sources = network.sources[i]
        ends[i] = _ends(node, [ends[source] for source in sources], [shapes[source] for source in sources])
    last = len(network.layers) - 1
    return [
        _margin(network, ends, shapes, label, other, by_lines) if other != label else 0
        for other in range(len(ends[last]))
    ]


def _margin(
    network: IntNetwork, ends: dict[int, Ends], shapes: dict[int, Shape], label: int, other: int, by_lines: bool
) -> int:
    unit, last = 1 << FRACTION if by_lines else 1, len(network.layers) - 1
    waiting = {i: [0] * len(values) for i, values in ends.items()}
    waiting[last][label], waiting[last][other] = unit, -unit
    total = 0
    for i in range(last, INPUT, -1):
        node, sources, c = network.layers[i], network.sources[i], waiting[i]
        if not isinstance(node, CURVED):
            matrices, bias = _matrices(node, [shapes[source] for source in sources])
            total += sum(x * b for x, b in zip(c, bias, strict=True))
            for source, matrix in zip(sources, matrices, strict=True):
                for k, row in enumerate(matrix):
                    waiting[source][k] += sum(x * w for x, w in zip(c, row, strict=True))
        elif by_lines:
            for k, (x, read, given) in enumerate(zip(c, ends[sources[0]], ends[i], strict=True)):
                slope, offset = _line(node, k, shapes[i], read, given, above=x < 0)
                rounded = floor(x * slope + Fraction(1, 2))
                waiting[sources[0]][k] += rounded
                total += floor(x * offset + min((x * slope - rounded) * end for end in read))
        else:
            total += _worst(c, ends[i])
    return -(-(total + _worst(waiting[INPUT], ends[INPUT])) // unit)


def _worst(c: list[int], ends: Ends) -> int:
    return sum(x * (low if x >= 0 else high) for x, (low, high) in zip(c, ends, strict=True))


def _line(
    node: Node | Join, k: int, shape: Shape, read: tuple[int, int], given: tuple[int, int], above: bool
) -> tuple[Fraction, Fraction]:
    """Slope and offset of the line below or above element k, as `intnn.certification.lines` says."""
    low, high = read
    if isinstance(node, LutActivation):
        values = {z: int(node.lut(z)) * (-1 if above else 1) for z in range(low, high + 1)}
        middle = Fraction(low + high, 2)
        before = max(middle - Fraction(1, 2), Fraction(low))
        slope = 2 * (_hull(values, middle) - _hull(values, before))  # the hull has its corners at integers
        offset = _hull(values, middle) - slope * middle
        return (-slope, -offset) if above else (slope, offset)
    if isinstance(node, IntPolynomial) and node.degree <= 2:
        steepness = node.coefficients[1] + (low + high) * (node.coefficients[2] if node.degree == 2 else 0)
        centre = (low + high) // 2  # a parabola is extreme at its ends or beside its middle
        rests = [_polynomial(node, z) - steepness * z for z in (low, centre, min(centre + 1, high), high)]
        return Fraction(steepness), Fraction(max(rests) if above else min(rests))
    if isinstance(node, Requantise):
        factor, whole = int(node.multiplier[k // (prod(shape) // shape[0]) % len(node.multiplier)]), 1 << node.shift
        half = whole >> 1
        if all(node.domain.lo <= (z * factor + half) // whole <= node.domain.hi for z in read):
            return Fraction(factor, whole), Fraction(half if above else half - whole + 1, whole)
    return Fraction(0), Fraction(given[1] if above else given[0])


def _hull(values: dict[int, int], at: Fraction) -> Fraction:
    """The lower convex hull of points, at a place between them: the lowest chord over it."""
    chords = [Fraction(values[int(at)])] if at.denominator == 1 else []
    chords += [((b - at) * values[a] + (at - a) * values[b]) / (b - a) for a in values for b in values if a < at < b]
    return min(chords)


def _ends(node: Node | Join, read: list[Ends], shapes: list[Shape]) -> Ends:
    match node:
        case LutActivation():
            tables = [[int(node.lut(z)) for z in range(low, high + 1)] for low, high in read[0]]
            return [(min(table), max(table)) for table in tables]
        case IntPolynomial():
            return [_polynomial_ends(node, low, high) for low, high in read[0]]
        case Requantise():
            sides = [np.array(side).reshape(1, *shapes[0]) for side in zip(*read[0], strict=True)]
            images = [node.apply(side, reference).ravel().tolist() for side in sides]
            return [(min(pair), max(pair)) for pair in zip(*images, strict=True)]
    matrices, bias = _matrices(node, shapes)
    columns = [[row[k] for matrix in matrices for row in matrix] for k in range(len(bias))]
    entering = [pair for ends in read for pair in ends]
    return [
        (b + _worst(column, entering), b - _worst([-x for x in column], entering))
        for b, column in zip(bias, columns, strict=True)
    ]


def _polynomial(node: IntPolynomial, z: int) -> int:
    return sum(c * z**k for k, c in enumerate(node.coefficients))


def _polynomial_ends(node: IntPolynomial, low: int, high: int) -> tuple[int, int]:
    """The sum of the ranges of the terms."""
    terms = [[c * z**k for z in (low, high, *([0] if low < 0 < high else []))] for k, c in enumerate(node.coefficients)]
    return sum(map(min, terms)), sum(map(max, terms))


def _matrices(node: Node | Join, shapes: list[Shape]) -> tuple[list[Matrix], list[int]]:
    """What a linear node does with every value that it reads, and adds to them."""
    zeros = [np.zeros((1, *shape), object) for shape in shapes]
    apply: Callable[[list[np.ndarray]], np.ndarray] = (
        node.join if isinstance(node, Join) else lambda values: node.apply(values[0], reference)
    )
    bias = apply(zeros).ravel()
    matrices: list[Matrix] = []
    for j, shape in enumerate(shapes):
        rows = []
        for k in range(prod(shape)):
            unit = np.zeros(prod(shape), object)
            unit[k] = 1
            rows.append((apply([*zeros[:j], unit.reshape(1, *shape), *zeros[j + 1 :]]).ravel() - bias).tolist())
        matrices.append(rows)
    return matrices, bias.tolist()
