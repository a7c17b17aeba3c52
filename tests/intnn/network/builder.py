"""Graphs that grow node by node."""

from typing import Any

import numpy as np

from intnn.layers.nodes import Conv2d, Dense, Join, Scale
from intnn.network.graph import Graph


class Builder:
    """A graph with random weights; `add` returns the number of the new node, which reads the last one by default."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.input_shape = shape
        self.shapes = {-1: shape}
        self.nodes: list[Any] = []
        self.inputs: list[tuple[int, ...]] = []
        self.rng = np.random.default_rng(seed)

    @property
    def last(self) -> int:
        return len(self.nodes) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[self.last]

    def add(self, node: Any, *sources: int) -> int:
        sources = sources or (self.last,)
        shapes = [self.shapes[source] for source in sources]
        self.nodes.append(node)
        self.inputs.append(sources)
        self.shapes[self.last] = node.joined_shape(shapes) if isinstance(node, Join) else node.output_shape(shapes[0])
        return self.last

    def scale(self) -> int:
        channels = self.rng.choice([1, self.shape[0]])
        return self.add(Scale(self.rng.normal(size=channels), self.rng.normal(size=channels)))

    def convolution(self, outputs: int, kernel: int = 3, padding: Any = 0, groups: int = 1, **geometry: Any) -> int:
        weight = self.rng.normal(size=(outputs, self.shape[0] // groups, kernel, kernel)) / kernel
        return self.add(Conv2d(weight, self.rng.normal(size=outputs), padding=padding, groups=groups, **geometry))

    def dense(self, outputs: int) -> int:
        weight = self.rng.normal(size=(outputs, self.shape[0]))
        return self.add(Dense(weight, self.rng.normal(size=outputs)))

    def graph(self) -> Graph:
        return Graph(self.input_shape, tuple(self.nodes), "net", {"classes": ["a"]}, tuple(self.inputs))
