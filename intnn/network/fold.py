"""Channelwise scalings, folded into the linear layers around them.

Batch normalisation, a scaler in front of a network and the parameters of a fitted square are all `Scale` nodes. Next to
a linear layer they are a change of its weights, and cost nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from intnn.layers.nodes import Add, Concatenate, Conv2d, Dense, Flatten, Join, Node, Reshape, Scale, Shape, SumPool2d
from intnn.network.edges import Sources
from intnn.network.graph import Graph
from intnn.values.arrays import FloatArray, instance

Replacements = dict[int, Node | Join]  # by the number of the node that they take the place of


def fold_scales(graph: Graph) -> Graph:
    """Fold every `Scale` into the layers before or behind it, where that is exact.

    A scaling moves into Dense, Conv2d and other scalings, and on its way through Flatten, Reshape, SumPool2d and the
    joins. It stays where it cannot move: next to an activation on both sides, on a value that something else reads too,
    or, for its bias, in front of a convolution or a pooling with zero padding, which would not pad with the bias.

    Args:
        graph: The network. It stays as it is.

    Returns:
        A graph with the same outputs up to rounding, the same name and the same metadata; ``graph`` itself where there
        is nothing to fold.

    Raises:
        TypeError: ``graph`` is no `Graph`.
    """
    instance(graph, Graph, "graph")
    parts = _Parts(graph.input_shape, graph.nodes, graph.sources, graph.shapes)
    number = 0
    while number < len(parts.nodes):
        node = parts.nodes[number]
        if isinstance(node, Scale) and (replacements := _folded(parts, number)) is not None:
            parts, number = _without(parts, number, replacements), 0  # what has changed may let others move
        else:
            number += 1
    if len(parts.nodes) == len(graph.nodes):
        return graph
    return replace(graph, nodes=parts.nodes, inputs=parts.sources)


@dataclass(frozen=True, eq=False)
class _Parts:
    """A graph whose parts are known to fit each other."""

    input_shape: Shape
    nodes: tuple[Node | Join, ...]
    sources: Sources
    shapes: tuple[Shape, ...]

    @cached_property
    def readers(self) -> Mapping[int, list[int]]:
        """The nodes that read each node, once for every time that they do."""
        found: dict[int, list[int]] = {}
        for reader, sources in enumerate(self.sources):
            for source in sources:
                found.setdefault(source, []).append(reader)
        return found


@dataclass(frozen=True)
class _Affine:
    """The map y = weight x + bias along the first axis of a value, both [channels]."""

    weight: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, scale: Scale, channels: int) -> "_Affine":
        return cls(np.broadcast_to(scale.weight, (channels,)), np.broadcast_to(scale.bias, (channels,)))

    @property
    def is_identity(self) -> bool:
        return bool((self.weight == 1.0).all() and (self.bias == 0.0).all())

    def reshaped(self, shape: Shape, other: Shape) -> "_Affine | None":
        """The same map on a value of another shape with as many elements; None where it differs within a channel."""
        parts = []
        for part in (self.weight, self.bias):
            elements = np.repeat(part, math.prod(shape[1:])).reshape(other[0], -1)
            if (elements != elements[:, :1]).any():
                return None
            parts.append(elements[:, 0])
        return _Affine(*parts)

    def behind(self, other: "_Affine") -> "_Affine":
        """The map that applies ``other`` first."""
        return _Affine(self.weight * other.weight, self.weight * other.bias + self.bias)


def _folded(graph: _Parts, number: int) -> Replacements | None:
    """The nodes that change when a scaling is left out; None where it has to stay, or no float holds the product."""
    (source,) = graph.sources[number]
    scale = _Affine.of(graph.nodes[number], graph.shapes[number][0])  # type: ignore[arg-type]  # a Scale
    if scale.is_identity and len(graph.nodes) > 1:
        return {}
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # layers refuse what is not finite
            pulled = _pulled(graph, source, number, scale)
            return _pushed_on(graph, number, scale) if pulled is None else pulled
    except ValueError:
        return None


def _pulled(graph: _Parts, number: int, reader: int, scale: _Affine) -> Replacements | None:
    """What makes a node give its scaled output; ``reader`` is to be the only one that reads it."""
    if number < 0 or graph.readers[number] != [reader]:
        return None
    node, sources, shape = graph.nodes[number], graph.sources[number], graph.shapes[number]
    match node:
        case Dense() | Conv2d():
            rows = scale.weight.reshape(-1, *[1] * (node.weight.ndim - 1))
            return {number: replace(node, weight=rows * node.weight, bias=scale.weight * node.bias + scale.bias)}
        case Scale():
            merged = scale.behind(_Affine.of(node, shape[0]))
            return {number: Scale(merged.weight, merged.bias)}
        case Flatten() | Reshape():
            moved = scale.reshaped(shape, _shape(graph, sources[0]))
            return None if moved is None else _pulled(graph, sources[0], number, moved)
        case SumPool2d() if node.padding == 0 or not scale.bias.any():
            return _pulled(graph, sources[0], number, _Affine(scale.weight, scale.bias / node.area))
        case Add():
            without = _Affine(scale.weight, np.zeros_like(scale.bias))
            parts = [scale, *[without] * (len(sources) - 1)]
        case Concatenate():
            ends = np.cumsum([_shape(graph, source)[0] for source in sources])[:-1]
            pairs = zip(np.split(scale.weight, ends), np.split(scale.bias, ends), strict=True)
            parts = [_Affine(*pair) for pair in pairs]
        case _:
            return None
    return _union([_pulled(graph, source, number, part) for source, part in zip(sources, parts, strict=True)])


def _pushed_on(graph: _Parts, number: int, scale: _Affine) -> Replacements | None:
    """What makes all readers of a node scale what they read."""
    readers = graph.readers.get(number, [])
    return _union([_pushed(graph, reader, number, scale) for reader in readers]) if readers else None


def _pushed(graph: _Parts, number: int, source: int, scale: _Affine) -> Replacements | None:
    """What makes a node scale what it reads from ``source``."""
    node, shape = graph.nodes[number], graph.shapes[number]
    match node:
        case Dense():
            return {number: replace(node, weight=node.weight * scale.weight, bias=node.bias + node.weight @ scale.bias)}
        case Conv2d() if node.padding == 0 or not scale.bias.any():
            return {number: _convolution_behind(node, scale)}
        case Scale():
            merged = _Affine.of(node, shape[0]).behind(scale)
            return {number: Scale(merged.weight, merged.bias)}
        case Flatten() | Reshape():
            moved = scale.reshaped(_shape(graph, source), shape)
        case SumPool2d() if node.padding == 0 or not scale.bias.any():
            moved = _Affine(scale.weight, scale.bias * node.area)
        case Concatenate():
            parts = []
            for other in graph.sources[number]:
                channels = _shape(graph, other)[0]
                parts.append(scale if other == source else _Affine(np.ones(channels), np.zeros(channels)))
            moved = _Affine(*(np.concatenate(axis) for axis in zip(*((p.weight, p.bias) for p in parts), strict=True)))
        case _:
            return None
    return None if moved is None else _pushed_on(graph, number, moved)


def _convolution_behind(node: Conv2d, scale: _Affine) -> Conv2d:
    """A convolution that scales its input first; each group of outputs reads its own channels."""
    outputs, channels = node.weight.shape[:2]
    groups = np.repeat(np.arange(node.groups), outputs // node.groups)
    weight = scale.weight.reshape(node.groups, channels)[groups]  # [out, in / groups]
    bias = scale.bias.reshape(node.groups, channels)[groups]
    return replace(
        node,
        weight=node.weight * weight[:, :, None, None],
        bias=node.bias + np.einsum("oihw,oi->o", node.weight, bias),
    )


def _union(parts: list[Replacements | None]) -> Replacements | None:
    """All replacements; None where one is missing, or where a node would be replaced twice."""
    union: Replacements = {}
    for part in parts:
        if part is None or union.keys() & part.keys():
            return None
        union |= part
    return union


def _shape(graph: _Parts, number: int) -> Shape:
    return graph.shapes[number] if number >= 0 else graph.input_shape


def _without(graph: _Parts, number: int, replacements: Replacements) -> _Parts:
    """The graph with nodes replaced and one left out; what read that one reads its source."""
    (source,) = graph.sources[number]
    last = source if number == len(graph.nodes) - 1 else len(graph.nodes) - 1
    kept = [i for i in range(last + 1) if i != number]
    place = {-1: -1, **{i: new for new, i in enumerate(kept)}}
    place[number] = place[source]
    nodes = tuple(replacements.get(i, graph.nodes[i]) for i in kept)
    sources = tuple(tuple(place[i] for i in graph.sources[node]) for node in kept)
    return _Parts(graph.input_shape, nodes, sources, tuple(graph.shapes[i] for i in kept))
