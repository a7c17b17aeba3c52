"""Networks as pictures: layers with shapes, and ranges and tables where a network has them."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from intnn.export.picture import Box, Curve, draw_boxes, short
from intnn.export.proved import Proved
from intnn.layers.nodes import Activation, IntPolynomial, Join, LutActivation, Node, Requantise, Shape
from intnn.values.domain import Interval

_REACH = 4.0  # how far float activations are drawn on both sides
_POINTS = 201  # of a curve


def draw_graph(
    input_shape: Shape,
    nodes: Sequence[Node | Join],
    sources: Sequence[Sequence[int]],
    shapes: Sequence[Shape],
    name: str,
    path: str | os.PathLike[str],
    reaches: Sequence[tuple[float, float]] | None = None,
) -> None:
    """Draw a float network; it raises what `draw_boxes` raises.

    Args:
        input_shape: The shape of one input.
        nodes: The nodes.
        sources: For every node, the numbers of what it reads.
        shapes: The output shape of every node.
        name: What stands above.
        path: The file.
        reaches: The least and the greatest value of the input and of every node, if they are known.
    """

    def seen(number: int) -> tuple[str, ...]:
        return () if reaches is None else ("seen from {:.3g} to {:.3g}".format(*reaches[number]),)

    boxes = [Box("input", (_size(input_shape), *seen(0)), ())]
    for number, (node, read, shape) in enumerate(zip(nodes, sources, shapes, strict=True), 1):
        curve = None
        if isinstance(node, Activation):
            low, high = (-_REACH, _REACH) if reaches is None else reaches[read[0] + 1]
            x = np.linspace(low, high, _POINTS)
            curve = Curve(x, node.apply(x), is_table=False)
        lines = (_size(shape), *seen(number), *_details(node))
        boxes.append(Box(_title(node), lines, _shifted(read), _kind(node), curve))
    draw_boxes(boxes, name or "network", path)


def draw_network(network: Proved, path: str | os.PathLike[str]) -> None:
    """Draw an integer network with the worst case of every layer; it raises what `draw_boxes` raises."""
    domain = network.input_domain
    boxes = [Box("input", (_size(network.input_shape), f"integers {_range(domain.lo, domain.hi)}"), ())]
    for i, (layer, read) in enumerate(zip(network.layers, network.sources, strict=True)):
        interval, bound = network.intervals[i], network.bounds[i]
        before = network.intervals[read[0]] if read[0] >= 0 else Interval.full(domain, network.input_shape)
        about = ", ".join((_size(network.shapes[i]), *_details(layer)))
        lines = (about, f"values {_range(*_ends(interval))}", f"sums below {short(bound + 1)}")
        boxes.append(Box(_title(layer), lines, _shifted(read), _kind(layer), _integer_curve(layer, before)))
    draw_boxes(boxes, network.name or "integer network", path)


def _shifted(sources: Sequence[int]) -> tuple[int, ...]:
    """The boxes of sources: the input is the first box."""
    return tuple(source + 1 for source in sources)


def _kind(node: Node | Join) -> str:
    if isinstance(node, Join):
        return "join"
    if isinstance(node, Activation | LutActivation | IntPolynomial):
        return "activation"
    return "linear" if hasattr(node, "weight") else ""


def _title(node: Node | Join) -> str:
    match node:
        case Activation():
            return node.name
        case LutActivation():
            return f"table {node.lut.name}".rstrip()
        case IntPolynomial():
            return "square" if node.coefficients == (0, 0, 1) else f"polynomial of degree {node.degree}"
    kind = type(node).__name__
    text = repr(node)
    return kind if not text.startswith(f"{kind}(") or kind in _LONG else text.removesuffix("()")


_LONG = ("SumPool2d", "MaxPool2d", "Conv2d", "Requantise", "Reshape")  # titles would not fit


def _details(node: Any) -> tuple[str, ...]:
    """What a box says besides shape and range."""
    match node:
        case Activation() if node.coefficients:
            return (", ".join(f"{c:.3g}" for c in node.coefficients[:6]),)
        case LutActivation():
            return (f"{node.lut.domain.size} points",)
        case IntPolynomial() if node.coefficients != (0, 0, 1):
            return (f"coefficients {', '.join(map(str, node.coefficients[:4]))}",)
        case Requantise():
            return (f"shift {node.shift}",)
        case _ if type(node).__name__ in _LONG[:3]:
            return (repr(node).split("(", 1)[1].removesuffix(")"),)
    return ()


def _integer_curve(layer: Node | Join, before: Interval) -> Curve | None:
    if isinstance(layer, LutActivation):
        return Curve(layer.lut.domain.values(), layer.lut.table, is_table=True)
    if isinstance(layer, IntPolynomial):
        low, high = (float(end) for end in _ends(before))
        x = np.unique(np.rint(np.linspace(low, high, _POINTS)))
        return Curve(x, np.polynomial.polynomial.polyval(x, np.array(layer.coefficients, np.float64)), is_table=False)
    return None


def _ends(interval: Interval) -> tuple[int, int]:
    return int(interval.lo.min()), int(interval.hi.max())


def _range(low: int, high: int) -> str:
    return f"from {short(low)} to {short(high)}"


def _size(shape: Shape) -> str:
    return f"shape {' x '.join(map(str, shape))}"
