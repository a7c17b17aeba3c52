"""Networks with tables that keep their accuracy: a scale for every channel, and layers solved anew.

As in `intnn.quantisation.by_ranges`, no input can leave a table. But every row of weights is rounded at the scale at
which its own sums fill the table, where the activation allows it: f(r x) = r f(x) for ReLU and its like, and the next
layer divides its columns by r. And every layer is first solved anew for what the tables before it really give.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from intnn.approximation.refit import refitted
from intnn.layers.intervals import propagate
from intnn.layers.nodes import Activation, Conv2d, Dense, Flatten, LutActivation, Node, Reshape, Shape, SumPool2d
from intnn.network.fold import fold_scales
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.ops import numpy_
from intnn.quantisation import activations
from intnn.quantisation.apart import apart
from intnn.quantisation.bounded import TINY, Budget, relaxed_scales, round_within
from intnn.quantisation.by_ranges import ahead, separated, shrunk
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.final import final_layer
from intnn.quantisation.grid import grid, rounded
from intnn.quantisation.units import along, columns, in_another_shape
from intnn.values.arrays import Array, FloatArray, batched, instance, reals
from intnn.values.domain import IntDomain, Interval

STRETCHES = np.geomspace(1.0, 32.0, 10)  # how much finer than without a projection a row is rounded
SATURATED = 0.2  # percent of a table's positive values that may saturate
JUDGED = 500  # samples by which a row's scale is chosen


def integer_tables(graph: Graph, samples: ArrayLike, config: QuantConfig | None = None) -> IntNetwork:
    """Round a float network to one whose activations are tables, layer by layer.

    Args:
        graph: The float network, without branches. Its scalings are folded first.
        samples: Typical inputs, floats [n, *graph.input_shape].
        config: The sizes to keep to; `QuantConfig()` by default.

    Returns:
        The integer network, with the graph's metadata and "output_scale", the integer units per float unit of its
        logits.

    Raises:
        TypeError: An argument is of another type, or the graph has branches.
        ValueError: Samples are missing, of another shape, NaN or infinite; or the network has a maximum, or a scaling
            or an activation that no weighted layer comes before.
    """
    config = instance(QuantConfig() if config is None else config, QuantConfig, "config")
    x = batched(reals(samples, "samples"), instance(graph, Graph, "graph").input_shape, "samples")
    graph = fold_scales(graph)
    domain, scale = grid((float(x.min()), float(x.max())), config.input_bits)
    walk = _Walk(graph, config, Interval.full(domain, graph.input_shape), rounded(x, scale, domain), 1 / scale)
    steps = separated(graph.chain, graph.values(x))
    for i, (node, targets) in enumerate(steps):
        walk.step(i, node, targets, [following for following, _ in steps[i + 1 :]])
    metadata = {**graph.metadata, "output_scale": 1 / float(walk.unit[0])}
    return IntNetwork(graph.input_shape, domain, tuple(walk.layers), scale, graph.name, metadata)


class _Walk:
    """The integer layers so far, with what they give on the samples: real values are ``unit`` times ``integers``."""

    def __init__(
        self, graph: Graph, config: QuantConfig, interval: Interval, integers: FloatArray, unit: float
    ) -> None:
        self.layers: list[Node] = []
        self.unit = np.full(integers.shape[1], unit)
        self._graph, self._config, self._interval, self._integers = graph, config, interval, integers

    def step(self, i: int, node: Node, targets: FloatArray, following: list[Node]) -> None:
        """Append a node whose float values on the samples are ``targets``."""
        match node:
            case Dense() | Conv2d():
                self._append(self._weighted(node, targets, following))
            case Activation() if self.layers:
                self._append(self._table(node, targets))
            case Flatten() | Reshape():
                before = self._integers.shape[1:]
                self._append(node)
                units = in_another_shape(self.unit, before, self._integers.shape[1:])
                assert units is not None  # where channels meet in one, they have one unit
                self.unit = units
            case SumPool2d():
                self._append(node)
            case _:
                raise ValueError(
                    f"`graph.nodes[{i}]` must be a weighted layer, an activation behind one, or a pooling by sums, got "
                    f"{node}; use squares, or replace it by intnn.approximation.approximate"
                )

    def _append(self, layer: Node) -> None:
        self.layers.append(layer)
        self._interval, _ = propagate(layer, self._interval)
        self._integers = layer.apply(self._integers, numpy_).astype(np.float64)

    def _weighted(self, node: Dense | Conv2d, targets: FloatArray, following: list[Node]) -> Dense | Conv2d:
        pooled, is_activated = ahead(following, targets.shape[1:])
        activation = next((n for n in following if isinstance(n, Activation)), None)
        points, bound = self._config.table_points, self._config.logit_bound
        domain = IntDomain.symmetric(points) if is_activated else IntDomain(-bound, bound)
        largest = (1 << self._config.weight_bits - 1) - 1
        budget = Budget(self._interval.hull, shrunk(domain, pooled), largest, apart(node, self._interval))

        x = along(self.unit, self._integers[0]) * self._integers
        node = refitted(node, x, targets)
        if not following:
            node = final_layer(self._graph, len(self._graph.nodes) - 1, node, x, targets)
        weight = node.weight * columns(node, self.unit)
        rows = weight.reshape(len(weight), -1)
        finest = budget.weight_limit / np.maximum(np.abs(rows).max(axis=1), TINY)
        relaxed = np.minimum(relaxed_scales(rows, node.bias, budget), finest)
        own = activation is not None and _is_homogeneous(activation) and not _meet(targets.shape[1:], following)
        if not own:
            finest, relaxed = np.full_like(finest, finest.min()), np.full_like(relaxed, relaxed.min())

        wanted = targets[:JUDGED] if activation is None else activation.apply(targets[:JUDGED])
        best: list[Array] = []
        for stretch in STRETCHES:
            scales = np.minimum(stretch * relaxed, finest)
            attempt: list[Array] = [*round_within(rows * scales[:, None], node.bias * scales, budget), scales]
            layer = replace(node, weight=attempt[0].reshape(weight.shape), bias=attempt[1])
            given = layer.apply(self._integers[:JUDGED], numpy_) / along(scales, wanted[0])
            error = np.square((given if activation is None else activation.apply(given)) - wanted)
            error = error.mean(axis=(0, *range(2, error.ndim)))
            attempt.insert(0, error if own else np.full_like(error, error.sum()))
            best = _better(attempt, best) if best else attempt
        _, integers, offsets, scales = best
        self.unit = 1 / scales
        return replace(node, weight=integers.reshape(weight.shape), bias=offsets)

    def _table(self, node: Activation, targets: FloatArray) -> LutActivation:
        domain = IntDomain.symmetric(self._config.table_points)
        if not _is_homogeneous(node):
            codomain, scale = grid((float(targets.min()), float(targets.max())), self._config.activation_bits)
            lut = activations.of(node)(domain, float(1 / self.unit[0]), scale, codomain)
            self.unit = np.full_like(self.unit, 1 / scale)
            return LutActivation(lut)
        values = node.apply(self._integers)
        magnitudes = np.abs(values[values != 0]) if values.any() else np.ones(1)
        peak = float(np.percentile(magnitudes, 100 - SATURATED))
        codomain, scale = grid((min(float(values.min()), 0.0), peak), self._config.activation_bits)
        scale = min(scale, 1.0)  # integers need not become finer than they are
        self.unit = self.unit / scale
        return LutActivation(activations.of(node)(domain, 1.0, scale, codomain))


def _is_homogeneous(activation: Activation) -> bool:
    """Whether f(r x) = r f(x) for all r > 0, so that every channel may have a scale of its own."""
    is_identity = activation.name == "polynomial" and activation.coefficients == (0.0, 1.0)
    return is_identity or activation.name in ("relu", "leaky_relu")


def _meet(shape: Shape, following: list[Node]) -> bool:
    """Whether channels of this shape are parts of one channel where the next weighted layer reads them."""
    numbers = np.arange(float(shape[0]))
    for node in following:
        if isinstance(node, Dense | Conv2d):
            break
        before, shape = shape, node.output_shape(shape)
        if isinstance(node, Flatten | Reshape):
            moved = in_another_shape(numbers, before, shape)
            if moved is None:
                return True
            numbers = moved
    return False


def _better(attempt: list[Array], best: list[Array]) -> list[Array]:
    """Row by row the one with the smaller error, which comes first."""
    wins = attempt[0] < best[0]
    return [np.where(along(wins, new), new, old) for new, old in zip(attempt, best, strict=True)]
