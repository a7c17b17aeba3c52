"""Post-training quantisation: a float `Graph` to an `IntNetwork` whose tables no input can leave.

Every weighted layer is rounded so that its worst case, over all inputs and not only those seen, stays inside the domain
of the table behind it, or inside the logit bound. `intnn.quantisation.bounded` says how.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from intnn.layers.intervals import propagate
from intnn.layers.nodes import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    LutActivation,
    MaxPool2d,
    Node,
    Reshape,
    Shape,
    SumPool2d,
)
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.quantisation import activations
from intnn.quantisation.apart import apart
from intnn.quantisation.bounded import TINY, Budget, round_layer
from intnn.quantisation.calibrate import Ranges
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.grid import grid
from intnn.values.arrays import FloatArray, IntArray
from intnn.values.domain import IntDomain, Interval
from intnn.values.rounding import divide_toward_zero

T = TypeVar("T")


def quantise_by_ranges(graph: Graph, ranges: Ranges, config: QuantConfig) -> IntNetwork:
    """Round a float network to one with tables, by the ranges of its values alone.

    Activations become tables. Two weighted layers without an activation between them get a requantising table, so
    that no accumulator grows from layer to layer.

    Args:
        graph: The float network.
        ranges: The ranges of its values, from `calibrate`.
        config: The sizes to keep to.

    Returns:
        The integer network, with the graph's metadata and "output_scale", the integer units per float unit of its
        logits.

    Raises:
        TypeError: An argument is of another type, or the graph has branches.
        ValueError: ``ranges`` belongs to another network, or an activation reads values that no weighted layer scales
            and that are more than ``table_points``, or all weights of a layer round to zero, or a magnitude is above
            1e30.
    """
    ranges.require_graph(graph)
    table_domain = IntDomain.symmetric(config.table_points)
    logit_domain = IntDomain(-config.logit_bound, config.logit_bound)
    input_domain, input_scale = grid(ranges.input, config.input_bits)

    steps = separated(graph.chain, ranges.nodes)
    x, scale = Interval.full(input_domain, graph.input_shape), input_scale
    layers: list[Node] = []
    for i, (node, node_range) in enumerate(steps):
        if isinstance(node, (Dense, Conv2d)):
            pooled, is_activated = ahead([following for following, _ in steps[i + 1 :]], node.output_shape(x.lo.shape))
            domain = table_domain if is_activated else logit_domain
            largest = (1 << config.weight_bits - 1) - 1
            budget = Budget(x.hull, shrunk(domain, pooled), largest, apart(node, x))
            weight, bias, weight_scale = round_layer(node.weight, node.bias, scale, budget)
            _require_some_left(node.weight, weight, weight_scale, budget, i)
            node, scale = replace(node, weight=weight, bias=bias), scale * weight_scale
        elif isinstance(node, Activation):
            domain = _table_domain(x.hull, table_domain, i)
            codomain, scale_out = grid(node_range, config.activation_bits)
            node, scale = LutActivation(activations.of(node)(domain, scale, scale_out, codomain)), scale_out
        layers.append(node)
        x, _ = propagate(node, x)
    metadata = {**graph.metadata, "output_scale": scale}
    return IntNetwork(
        graph.input_shape, input_domain, tuple(layers), input_scale, graph.name, metadata
    )  # fmt: skip


def separated(nodes: Sequence[Node], seen: Sequence[T]) -> list[tuple[Node, T]]:
    """Nodes and what was seen behind them, with the identity as an activation between weighted layers without one."""
    steps: list[tuple[Node, T]] = []
    is_open = False  # whether a weighted layer waits for its activation
    for node, here in zip(nodes, seen, strict=True):
        if isinstance(node, (Dense, Conv2d)):
            if is_open:
                steps.append((Activation("polynomial", (0.0, 1.0)), steps[-1][1]))
            is_open = True
        elif isinstance(node, Activation):
            is_open = False
        steps.append((node, here))
    return steps


def ahead(nodes: list[Node], shape: Shape) -> tuple[int, bool]:
    """The factor by which pooling multiplies values before the next activation, and whether there is one.

    Args:
        nodes: What follows.
        shape: The shape of the values.
    """
    ones = Interval.full(IntDomain(0, 1), shape)  # windows may hold zeros besides, as between pixels
    for node in nodes:
        if isinstance(node, Activation):
            return ones.magnitude, True
        if isinstance(node, SumPool2d | Flatten | Reshape):
            ones, _ = propagate(node, ones)
        elif isinstance(node, MaxPool2d):
            ones = Interval.full(IntDomain(0, ones.magnitude), node.output_shape(ones.lo.shape))
    return ones.magnitude, False


def shrunk(domain: IntDomain, factor: int) -> IntDomain:
    """The values whose multiples by ``factor`` stay inside the domain."""
    return IntDomain(divide_toward_zero(domain.lo, factor), divide_toward_zero(domain.hi, factor))


def _require_some_left(weight: FloatArray, rounded: IntArray, weight_scale: float, budget: Budget, i: int) -> None:
    """Refuse a layer whose weights are all gone, though they would have changed its sums by a unit or more."""
    magnitude = np.abs(weight).reshape(len(weight), -1)
    largest = magnitude.sum(axis=1).max() * weight_scale * budget.inputs.magnitude
    if not rounded.any() and largest >= 1 and magnitude.max() > TINY:
        raise ValueError(
            f"layer {i} must keep some of its weights, but all of them round to zero where inputs are integers of "
            f"{budget.inputs} and sums of {budget.target}; raise `table_points` or `logit_bound`, or lower "
            "`input_bits` or `activation_bits`"
        )


def _table_domain(hull: IntDomain, table_domain: IntDomain, i: int) -> IntDomain:
    """The usual domain, or the values themselves where no weighted layer bounds them and they are few."""
    if table_domain.issuperset(hull):
        return table_domain
    if hull.size > table_domain.size:
        raise ValueError(
            f"layer {i} must be an activation on at most {table_domain.size} points, got {hull}; "
            "raise `table_points` or lower `input_bits` or `activation_bits`"
        )
    return hull
