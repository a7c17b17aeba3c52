"""A graph while it is written down, and what operators give: elements of a node's output, in an order of their own."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from intnn.convert.resampling import Points, nearest
from intnn.layers.nodes import Activation, Conv2d, Dense, Flatten, Join, Node, Reshape, Scale, Shape
from plaintext_models.bridge.reading.unsupported import UnsupportedError

INPUT = -1  # the number of the graph's input, where nodes have theirs


@dataclass(frozen=True)
class Value:
    """One row of what an operator gives: some elements of a node's output.

    What only moves elements (views, permutations, slices) makes other places of them and no node; so a permutation
    that a dense layer reads becomes an order of that layer's weights.

    Attributes:
        node: The number of the node.
        places: For every element, its place in the node's output in C order: int64, in the shape that torch sees, but
            for the batch axis.
        link: What has been left to the client: "softmax" or "log_softmax", or nothing.
    """

    node: int
    places: Tensor
    link: str = ""

    @property
    def shape(self) -> Shape:
        """The shape that torch sees, without the batch axis."""
        return tuple(self.places.shape)

    def is_same(self, other: Value) -> bool:
        """Whether both are the same elements."""
        return self.node == other.node and torch.equal(self.places, other.places)


@functools.lru_cache(maxsize=64)
def counted(size: int) -> Tensor:
    """The places 0, 1, ..., which views share."""
    return torch.arange(size)


def is_counted(places: Tensor) -> bool:
    """Whether places are in order, each once, from zero."""
    return torch.equal(places.flatten(), counted(places.numel()))


@dataclass
class Draft:
    """The nodes of a graph in the order in which they are written down, with what each of them reads.

    Attributes:
        input_shape: The shape of one input.
    """

    input_shape: Shape
    nodes: list[Node | Join] = field(default_factory=list)
    sources: list[tuple[int, ...]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)

    def shape(self, number: int) -> Shape:
        """The shape of a node's output."""
        return self.input_shape if number == INPUT else self.shapes[number]

    def size(self, number: int) -> int:
        """The number of elements of a node's output."""
        return math.prod(self.shape(number))

    def node(self, number: int) -> Node | Join | None:
        """A node; none for the input."""
        return None if number == INPUT else self.nodes[number]

    def add(self, node: Node | Join, *sources: int) -> int:
        """Write a node down; what gives the same as one that is there already, is that one."""
        if isinstance(node, (Flatten, Reshape)):
            for number, (other, read) in enumerate(zip(self.nodes, self.sources, strict=True)):
                if other == node and read == sources:
                    return number
        shapes = [self.shape(source) for source in sources]
        try:
            shape = node.joined_shape(shapes) if isinstance(node, Join) else node.output_shape(shapes[0])
        except ValueError as error:
            raise UnsupportedError(str(error), "give it inputs of the shapes that it takes") from None
        self.nodes.append(node)
        self.sources.append(sources)
        self.shapes.append(shape)
        return len(self.nodes) - 1

    def whole(self, number: int, shape: Shape | None = None) -> Value:
        """All of a node's output in its order, in another shape if one is given."""
        own = self.shape(number)
        return Value(number, counted(math.prod(own)).view(own if shape is None else shape))

    def elementwise(self, value: Value, node: Node) -> Value:
        """A node that treats all elements alike, whatever their places."""
        return replace(value, node=self.add(node, value.node))

    def needed(self, last: int) -> tuple[tuple[Node | Join, ...], tuple[tuple[int, ...], ...]]:
        """The nodes that a node depends on, itself the last, and what they read."""
        wanted, waiting = set(), [last]
        while waiting:
            number = waiting.pop()
            if number != INPUT and number not in wanted:
                wanted.add(number)
                waiting += self.sources[number]
        order = {INPUT: INPUT, **{number: place for place, number in enumerate(sorted(wanted))}}
        nodes = tuple(self.nodes[number] for number in sorted(wanted))
        return nodes, tuple(tuple(order[source] for source in self.sources[number]) for number in sorted(wanted))

    def activation(self, value: Value, name: str, *coefficients: float) -> Value:
        """An activation by the name that `intnn` has for it."""
        return self.elementwise(value, Activation(name, coefficients))

    def laid(self, value: Value, shape: Shape | None = None) -> int:
        """The number of a node whose output is a value, element by element, in a shape of as many elements."""
        shape = value.shape if shape is None else shape
        number = value.node
        if not (is_counted(value.places) and value.places.numel() == math.prod(self.shape(number))):
            number = self._picked(value)
        while self.shape(number) != shape and isinstance(self.node(number), (Flatten, Reshape)):
            (number,) = self.sources[number]
        if self.shape(number) == shape:
            return number
        return self.add(Flatten() if len(shape) == 1 else Reshape(shape), number)

    def _picked(self, value: Value) -> int:
        """Channels, or every other pixel, chosen by a linear layer of ones and zeros; pixels by sums."""
        for (channels, height, width), steps in self._layouts(value):
            grid = counted(height * width).view(height, width)[:: steps[0], :: steps[1]].flatten()
            rows = value.places.reshape(-1, len(grid))
            chosen = rows[:, :1] // (height * width)
            if not torch.equal(rows, chosen * height * width + grid):
                continue
            weight = np.zeros((len(rows), channels))
            weight[np.arange(len(rows)), chosen.flatten().numpy()] = 1.0
            bias, whole = np.zeros(len(rows)), self.whole(value.node)
            if height == width == 1:
                return self.add(Dense(weight, bias), self.laid(whole, (channels,)))
            return self.add(Conv2d(weight[:, :, None, None], bias, steps), self.laid(whole, (channels, height, width)))
        if (made := self._pixels(value)) is not None:
            return made
        remedy = "permute, slice or flip only along channels, or right before a linear layer"
        if value.node == INPUT:  # as of images with channels last
            remedy += "; or give inputs in the order that layers take, channels first, and leave it out of the module"
        raise UnsupportedError("elements in another order or number", remedy)

    def _pixels(self, value: Value) -> int | None:
        """Pixels at even distances, the same of every channel, as of an image resized or cropped; None for others."""
        own, shape = (((*s[:1], 1, *s[1:]) if len(s) == 2 else s) for s in (self.shape(value.node), value.shape))
        if len(own) != 3 or len(shape) != 3 or own[0] != shape[0]:
            return None
        channels, height, width = own
        places = value.places.reshape(shape)
        rows, columns = places[0, :, 0] // width, places[0, 0] % width
        grid = rows[:, None] * width + columns + counted(channels)[:, None, None] * height * width
        if not torch.equal(places, grid) or (rows.diff() < 0).any() or (columns.diff() < 0).any():
            return None
        vertical, horizontal = (Points.of_indices(numbers.numpy()) for numbers in (rows, columns))
        if vertical is None or horizontal is None:
            return None
        image = self.laid(self.whole(value.node), (channels, height, width))
        return nearest(self.add, image, (channels, height, width), (vertical, horizontal))

    def _layouts(self, value: Value) -> Iterator[tuple[tuple[int, int, int], tuple[int, int]]]:
        """Images that a node's output may be taken for, and the steps between pixels of them that a value may have."""
        own, shape = self.shape(value.node), value.shape
        rest, total = math.prod(shape[1:]), self.size(value.node)
        if len(own) == len(shape) == 3:
            steps = [-(-length // side) for length, side in zip(own[1:], shape[1:], strict=True)]
            if all(-(-length // step) == side for length, step, side in zip(own[1:], steps, shape[1:], strict=True)):
                yield (own[0], own[1], own[2]), (steps[0], steps[1])
        if total % rest == 0:
            yield (total // rest, rest, 1), (1, 1)

    def scaled(self, value: Value, weight: Tensor | float, bias: Tensor | float = 0.0) -> Value:
        """Factors and offsets that broadcast to a value: for all elements, for each channel, or for each element."""
        factors, offsets = (_one_for_all(torch.as_tensor(p, dtype=torch.float64), value) for p in (weight, bias))
        shape = torch.broadcast_shapes(value.shape, factors.shape, offsets.shape)
        if factors.numel() == offsets.numel() == 1 and shape == value.shape:
            if factors.item() == 1 and offsets.item() == 0:
                return value
            return self.elementwise(value, Scale(_vector(factors), _vector(offsets)))
        value = replace(value, places=value.places.expand(shape))
        factors, offsets = factors.expand(shape), offsets.expand(shape)
        size = self.size(value.node)
        if value.places.numel() != size or not is_counted(value.places.flatten().sort().values):
            value = self.whole(self.laid(value), shape)
        order = value.places.flatten().argsort()
        factors, offsets = (p.flatten()[order] for p in (factors, offsets))
        for layout in (self.shape(value.node), shape or (1,), (size,)):  # the first in which a channel has one factor
            rows = [p.reshape(layout[0], -1) for p in (factors, offsets)]
            if all((row == row[:, :1]).all() for row in rows):
                break
        number = self.laid(self.whole(value.node), layout)
        return replace(value, node=self.add(Scale(*(_vector(row[:, 0]) for row in rows)), number))


def _one_for_all(values: Tensor, value: Value) -> Tensor:
    """Constants as one, where all are the same and make a value no larger."""
    first = values.flatten()[:1]
    is_inside = torch.broadcast_shapes(values.shape, value.shape) == value.shape
    return first.view(()) if is_inside and (values == first).all() else values


def _vector(values: Tensor) -> np.ndarray:
    return values.detach().reshape(-1).numpy().astype(np.float64)
