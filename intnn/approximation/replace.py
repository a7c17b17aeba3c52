"""One pass through a network: every activation by a polynomial, every linear layer behind one solved anew."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from intnn.approximation.agreement import decision_of
from intnn.approximation.fit import Fitted, fitted
from intnn.approximation.head import sharpened
from intnn.approximation.refit import refitted
from intnn.layers.nodes import Activation, Conv2d, Dense, Join, MaxPool2d, Node, Scale, SumPool2d
from intnn.network.graph import BATCH, Graph, applied
from intnn.values.arrays import FloatArray


def is_replaced(node: Node | Join) -> TypeGuard[Activation]:
    """Whether a node is an activation, and no polynomial."""
    return isinstance(node, Activation) and not node.is_polynomial


def replace_activations(
    graph: Graph, samples: FloatArray, degrees: Sequence[int], margin: float
) -> tuple[Graph, list[Fitted]]:
    """The network with polynomials, scalings not yet folded, and what was fitted for each activation."""
    walk = _Walk(graph, samples)
    decision = decision_of(graph.metadata, math.prod(graph.output_shape))
    fits = []
    remaining = iter(degrees)
    for number, node in enumerate(graph.nodes):
        walk.evaluate_float(number)
        if is_replaced(node):
            fit = fitted(node, next(remaining), walk.seen(number), margin)
            fits.append(fit)
            walk.append(number, fit.before, fit.polynomial, fit.after)
        elif isinstance(node, MaxPool2d):
            walk.append(number, *_average(node, walk, number))
        elif isinstance(node, Dense | Conv2d) and walk.has_changed(number):
            x, y = walk.seen(number), walk.float_values[number]
            layer = refitted(node, x, y)
            if isinstance(layer, Dense) and number == len(graph.nodes) - 1:
                layer = sharpened(layer, x, y, decision)
            walk.append(number, layer)
        else:
            walk.append(number, node)
        walk.forget(number)
    return walk.graph(), fits


def _average(node: MaxPool2d, walk: "_Walk", number: int) -> tuple[Node, Node]:
    """A sum, and for every channel the straight line that brings it closest to the maximum."""
    pool = SumPool2d(node.size, node.stride, node.padding)
    x, y = _evaluate(pool, [walk.seen(number)]), walk.float_values[number]
    axes = (0, 2, 3)
    mean_x, mean_y = x.mean(axes), y.mean(axes)
    covariance = (x * y).mean(axes) - mean_x * mean_y
    variance = np.square(x).mean(axes) - mean_x**2
    flat = variance <= 1e-12 * np.square(x).mean(axes)
    slope = np.where(flat, 1.0 / node.area, covariance / np.where(flat, 1.0, variance))
    return pool, Scale(slope, mean_y - slope * mean_x)


class _Walk:
    """Two networks side by side on the same samples: the given one, and the one that grows."""

    def __init__(self, original: Graph, samples: FloatArray) -> None:
        self.original = original
        self.nodes: list[Node | Join] = []
        self.inputs: list[tuple[int, ...]] = []
        self.place: dict[int, int] = {-1: -1}  # where a node's value stands in the new network
        self.float_values: dict[int, FloatArray] = {-1: samples}
        self.values: dict[int, FloatArray] = {-1: samples}  # of the new network, by the number of the old node
        self.changed: set[int] = set()
        self.readers = Counter(source for sources in original.sources for source in sources)

    def evaluate_float(self, number: int) -> None:
        sources = self.original.sources[number]
        self.float_values[number] = _evaluate(self.original.nodes[number], [self.float_values[i] for i in sources])

    def seen(self, number: int) -> FloatArray:
        """What the new network gives a node with one input."""
        (source,) = self.original.sources[number]
        return self.values[source]

    def has_changed(self, number: int) -> bool:
        return any(source in self.changed for source in self.original.sources[number])

    def append(self, number: int, *nodes: Node | Join) -> None:
        """Nodes in the place of one, each reading the one before."""
        sources = self.original.sources[number]
        inputs = tuple(self.place[i] for i in sources)
        if not self.has_changed(number) and nodes == (self.original.nodes[number],):
            self.values[number] = self.float_values[number]
        else:
            self.changed.add(number)
            values = [self.values[i] for i in sources]
            for node in nodes:
                values = [_evaluate(node, values)]
            (self.values[number],) = values
        for node in nodes:
            self.nodes.append(node)
            self.inputs.append(inputs)
            inputs = (len(self.nodes) - 1,)
        self.place[number] = len(self.nodes) - 1

    def forget(self, number: int) -> None:
        """Let go of values that nothing else reads."""
        for source in self.original.sources[number]:
            self.readers[source] -= 1
            if not self.readers[source]:
                del self.float_values[source], self.values[source]

    def graph(self) -> Graph:
        old = self.original
        return Graph(old.input_shape, tuple(self.nodes), old.name, old.metadata, tuple(self.inputs))


def _evaluate(node: Node | Join, inputs: list[FloatArray]) -> FloatArray:
    """One node on float64 rows, `BATCH` at a time."""
    starts = range(0, len(inputs[0]), BATCH)
    return np.concatenate([applied(0, node, [x[i : i + BATCH] for x in inputs]) for i in starts])
