"""What samples show of a network's ranges: how far the units of its layers reach before activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from he.compiler.arrange import Origin, arranged_from
from he.compiler.stages import Stage, layered, to_stages
from intnn import Activation, Flatten, Graph, Reshape


@dataclass(frozen=True, eq=False)
class Calibration:
    """By what ranges are calibrated.

    Attributes:
        graph: the network.
        samples: float64 [samples, *shape], inputs like those that are to be encrypted.
        margin: see `Seen`.
        arranged: whether the network's units are arranged, as for packing for latency.
    """

    graph: Graph
    samples: np.ndarray
    margin: float
    arranged: bool

    @cached_property
    def seen(self) -> Samples:
        """What the samples show of the network's ranges."""
        stages = to_stages(self.graph.input_shape, self.graph.nodes, self.graph.sources)
        origins = arranged_from(stages)[1] if self.arranged else None
        return Samples.of(self.graph, self.samples, self.margin, stages, origins)


class Seen(NamedTuple):
    """What samples show of one layer.

    Attributes:
        units: the layer's units before the first activation, [samples, units].
        margin: how many times as far as there a single unit may reach; and its square is how many times as large as
            there a guard's sum may be at least, so that the units of a square, all together, may reach as many times
            as far.
    """

    units: np.ndarray
    margin: float


@dataclass(frozen=True, eq=False)
class Samples:
    """What samples show of a network's ranges.

    Attributes:
        layers: by the number of each layer that activations follow, its units on the samples, [samples, units].
        margin: see `Seen`.
    """

    layers: Mapping[int, np.ndarray]
    margin: float

    @staticmethod
    def of(
        graph: Graph,
        inputs: np.ndarray,
        margin: float,
        stages: Sequence[Stage],
        origins: Sequence[Origin] | None = None,
    ) -> Samples:
        """Return what samples show.

        Args:
            graph: the network.
            inputs: the samples, [samples, *shape].
            margin: see `Seen`.
            stages: the network's stages, as `he.compiler.stages.to_stages` returns them.
            origins: where the units of other stages come from that compute the same; by default, these are the stages.
        """
        values = [*graph.values(inputs), inputs]
        before = [values[source].reshape(len(inputs), -1) for source in _first_activations(graph)]
        layers = [number for number, (_, functions) in enumerate(layered(stages)) if functions]
        seen = dict(zip(layers, before, strict=True))
        if origins is None:
            return Samples(seen, margin)
        moved = {}
        for number, (layer, units) in enumerate(origins):
            if layer in seen:
                padded = np.pad(seen[layer], ((0, 0), (0, 1)))  # the last column is that of places without a unit
                moved[number] = padded[:, units]
        return Samples(moved, margin)

    def of_layer(self, number: int) -> Seen | None:
        """Return what samples show of a layer; None if no activation follows it."""
        return Seen(self.layers[number], self.margin) if number in self.layers else None


def _first_activations(graph: Graph) -> list[int]:
    """Return what every activation reads that begins a layer's, as `to_stages` makes layers."""

    def is_behind_another(source: int) -> bool:
        while source >= 0 and isinstance(graph.nodes[source], Flatten | Reshape):
            source = graph.sources[source][0]
        return source >= 0 and isinstance(graph.nodes[source], Activation)

    activations = [graph.sources[i][0] for i, node in enumerate(graph.nodes) if isinstance(node, Activation)]
    return [source for source in activations if not (graph.is_chain and is_behind_another(source))]
