"""How many bits each layer of an integer network may take, so that its outputs take no more than some.

Accumulator-aware quantisation (A2Q: Colbert, Pappalardo and Petri-Koenig, ICCV 2023; A2Q+: Colbert et al., ICML 2024)
bounds a layer's worst case by its weights. Squares double the bits of all layers before them, so those get fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    Join,
    Node,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.values.domain import IntDomain

BISECTIONS = 8  # of a scale, from an interval of a factor of 16: to a hundredth
HALVINGS = 60  # of the interval in which the weights' bits are searched
NARROWEST = -64.0  # bits of a mean weight, with which all layers have the least that they can do with
WIDEST = 20.0  # bits of a mean weight, at most: float32 has no more
LESS_BEFORE_A_SQUARE = 0.5  # bits of a weight: what is lost there costs twice as much to keep
FACTOR = 8.0  # integers that bring values on one scale reach so far: a sixteenth of the greatest may be lost


@dataclass(frozen=True)
class Budget:
    """What a linear layer's integers may lead to.

    Attributes:
        inputs: The largest magnitude of an input.
        is_signed: Whether inputs may be negative.
        sums: The largest magnitude of an output.
        is_shared: Whether all outputs have one scale.
    """

    inputs: float
    is_signed: bool
    sums: float
    is_shared: bool

    def scale(self, rows: Tensor, bias: Tensor) -> Tensor:
        """The largest scales of outputs at which rounded parameters keep to the budget.

        Args:
            rows: float64 [outputs, taps]: weights divided by the scales of their inputs.
            bias: float64 [outputs].

        Returns:
            float64 [outputs], positive; found by bisection, and checked however coarse that is.
        """
        positive, negative = rows.clamp(min=0), rows.clamp(max=0).abs()

        def reach(positive: Tensor, negative: Tensor) -> Tensor:
            above, below = positive.sum(1), negative.sum(1)
            return self.inputs * (above + below if self.is_signed else torch.maximum(above, below))

        room = self.sums - 1.0  # a bias is rounded as well
        exact = filling(room, reach(positive, negative) + bias.abs())
        low, high = exact / 2, exact * 8  # rounding at most doubles a value, and makes zeros of many
        for _ in range(BISECTIONS):
            middle = (low * high).sqrt()
            steps = middle[:, None]
            keeps = reach((positive * steps).round(), (negative * steps).round()) + bias.abs() * middle <= room
            low, high = torch.where(keeps, middle, low), torch.where(keeps, high, middle)
        return low.min().expand_as(low) if self.is_shared else low


def filling(room: float, reach: Tensor) -> Tensor:
    """The scales [channels] at which values of these reaches fill a room; what is always zero has the least of them."""
    known = reach > 0
    widest = reach[known].max() if known.any() else torch.ones((), dtype=reach.dtype)
    return room / torch.where(known, reach, widest)


@dataclass(frozen=True)
class Alignment:
    """How a `Scale` brings what it reads on a scale: on that of the others, where a sum follows.

    Attributes:
        group: The nodes that get one scale, this one among them, each with the node that it reads and the largest
            magnitude of an integer there.
        sums: The largest magnitude of the sum of what the group gives, but for the rounding of factors.
        is_shared: Whether all channels get one scale.
    """

    group: tuple[tuple[int, int, float], ...]
    sums: float
    is_shared: bool


@dataclass(frozen=True)
class _Reach:
    """How large a value's integers are, and whether they have a sign."""

    largest: float
    is_signed: bool


@dataclass(frozen=True)
class _Spent:
    """Budgets and alignments by the numbers of their nodes, and the largest magnitude of an output."""

    budgets: dict[int, Budget]
    alignments: dict[int, Alignment]
    largest: float


def aligned(graph: Graph) -> Graph:
    """The same function with a `Scale` by one before all that an `Add` reads, and at an end of several scales."""
    nodes: list[Node | Join] = []
    inputs: list[tuple[int, ...]] = []
    place = {INPUT: INPUT}

    def put(node: Node | Join, *read: int) -> int:
        nodes.append(node)
        inputs.append(read)
        return len(nodes) - 1

    one = Scale(np.ones(1), np.zeros(1))
    for number, (node, sources) in enumerate(zip(graph.nodes, graph.sources, strict=True)):
        read = [place[source] for source in sources]
        if isinstance(node, Add):
            read = [put(one, source) for source in read]
        place[number] = put(node, *read)
    if _last_weighted(graph) is None:
        put(one, len(nodes) - 1)
    return Graph(graph.input_shape, tuple(nodes), graph.name, graph.metadata, tuple(inputs))


def budgets(graph: Graph, inputs: IntDomain, max_bits: int) -> tuple[dict[int, Budget], dict[int, Alignment]]:
    """Give every linear layer of an aligned graph of squares as many bits as the outputs leave.

    A layer of n taps has sums of about n times its mean weight; this mean is the same for all layers, but for
    `LESS_BEFORE_A_SQUARE`.

    Args:
        graph: Aligned.
        inputs: What an input may be.
        max_bits: Bits of an output in the worst case, with its sign.

    Raises:
        TypeError: A node is none that integer networks of squares have.
        ValueError: ``max_bits`` are too few.
    """
    low, high = NARROWEST, WIDEST
    limit = 2.0 ** (max_bits - 1) - 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _spent(graph, inputs, middle).largest <= limit else (low, middle)
    spent = _spent(graph, inputs, low)
    if spent.largest > limit:
        least = math.ceil(math.log2(spent.largest + 1)) + 1
        raise ValueError(f"`max_bits` must be at least {least} for this network and its inputs, got {max_bits}")
    return spent.budgets, spent.alignments


def _spent(graph: Graph, inputs: IntDomain, bits: float) -> _Spent:
    """What is spent at so many bits of a mean weight."""
    reaches = {INPUT: _Reach(float(inputs.magnitude), inputs.lo < 0)}
    unflattened = any(isinstance(node, Reshape) and len(node.shape) > 1 for node in graph.nodes)
    behind, last, groups = _squares_behind(graph), _last_weighted(graph), _groups(graph)
    spent = _Spent({}, {}, 0.0)
    for number, (node, sources) in enumerate(zip(graph.nodes, graph.sources, strict=True)):
        read = [reaches[source] for source in sources]
        largest, is_signed = max(reach.largest for reach in read), any(reach.is_signed for reach in read)
        match node:
            case Dense() | Conv2d():
                mean = 2.0 ** (bits - LESS_BEFORE_A_SQUARE * behind[number])
                sums = largest * max(2.0, node.weight[0].size * mean) + 2.0
                spent.budgets[number] = Budget(largest, is_signed, sums, unflattened or number == last)
                reaches[number] = _Reach(sums, True)
            case Scale():
                group = tuple((peer, graph.sources[peer][0]) for peer in groups.get(number, (number,)))
                total = sum(reaches[source].largest for _, source in group)
                members = tuple((peer, source, reaches[source].largest) for peer, source in group)
                spent.alignments[number] = Alignment(members, FACTOR * total, number == len(graph.nodes) - 1)
                reaches[number] = _Reach((FACTOR + 1) * total + 1, is_signed or bool(node.bias.any()))
            case Activation(name="square"):
                reaches[number] = _Reach(largest**2, False)
            case SumPool2d():
                reaches[number] = _Reach(node.area * largest, is_signed)
            case Add() | Concatenate() | Flatten() | Reshape():  # the scales before a sum have seen to all of it
                reaches[number] = _Reach(largest, is_signed)
            case _:
                raise TypeError(f"`graph` must be made of linear layers and squares, got {node} as node {number}")
        if reaches[number].largest > 1e300:
            return replace(spent, largest=math.inf)
    return replace(spent, largest=reaches[len(graph.nodes) - 1].largest)


def _squares_behind(graph: Graph) -> list[int]:
    """For every node, how many squares there are on the way from it to the output, at most."""
    behind = [0] * len(graph.nodes)
    for number in reversed(range(len(graph.nodes))):
        is_square = isinstance(graph.nodes[number], Activation)
        for source in graph.sources[number]:
            if source != INPUT:
                behind[source] = max(behind[source], behind[number] + is_square)
    return behind


def _last_weighted(graph: Graph) -> int | None:
    """The linear layer whose outputs are the network's, but for their order and sums of windows; None without one."""
    number = len(graph.nodes) - 1
    while isinstance(graph.nodes[number], Flatten | Reshape | SumPool2d) and graph.sources[number][0] != INPUT:
        number = graph.sources[number][0]
    return number if isinstance(graph.nodes[number], Dense | Conv2d) else None


def _groups(graph: Graph) -> dict[int, tuple[int, ...]]:
    """For every `Scale` that an `Add` reads, all that it reads."""
    joins = [sources for node, sources in zip(graph.nodes, graph.sources, strict=True) if isinstance(node, Add)]
    return {scale: join for join in joins for scale in join}
