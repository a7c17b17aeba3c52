"""How far an integer network gives the answers of the float network that it was made from."""

import math
from dataclasses import dataclass, replace

from intnn.approximation.agreement import Decision, agreement_of, decision_of, strained
from intnn.approximation.head import sharpened
from intnn.approximation.refit import refitted
from intnn.layers.nodes import Conv2d, Dense
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, FloatArray

NAMES: dict[Decision, str] = {"largest": "same class", "signs": "same signs", "values": "R squared"}


def final_layer(graph: Graph, i: int, layer: Dense | Conv2d, x: FloatArray, wanted: FloatArray) -> Dense | Conv2d:
    """The last layer of a graph, fitted anew to the logits that it should give; another layer as it is.

    Args:
        graph: The network.
        i: The number of the layer in it.
        layer: The layer.
        x: What really reaches it, [n, *shape].
        wanted: The logits, [n, outputs].
    """
    if i != len(graph.nodes) - 1 or not isinstance(layer, Dense):
        return layer
    decision = decision_of(graph.metadata, math.prod(graph.output_shape))
    return refitted(layer, x, wanted) if decision == "values" else sharpened(layer, x, wanted, decision)


def with_final_layer(graph: Graph, samples: FloatArray, wanted: FloatArray) -> Graph:
    """The graph with its `final_layer` fitted to logits [n, outputs] on samples [n, *input_shape]."""
    last = len(graph.nodes) - 1
    (source, *_), layer = graph.sources[last], graph.nodes[last]
    if not isinstance(layer, Dense):
        return graph
    x = samples if source == INPUT else graph.values(samples)[source]
    return replace(graph, nodes=(*graph.nodes[:-1], final_layer(graph, last, layer, x, wanted)))


@dataclass(frozen=True)
class Measure:
    """The agreement with a float network on samples, as in `intnn.approximation.agreement`.

    Attributes:
        decision: What of the outputs is the answer.
        samples: The samples, floats [n, *input_shape].
        wanted: The float network's outputs, [n, outputs].
    """

    decision: Decision
    samples: FloatArray
    wanted: FloatArray

    @classmethod
    def of(cls, graph: Graph, samples: FloatArray) -> "Measure":
        """The measure that suits what the graph's metadata says of its outputs."""
        wanted = graph.logits(samples)
        return cls(decision_of(graph.metadata, wanted.shape[1]), samples, wanted)

    @property
    def name(self) -> str:
        """The measure in words."""
        return NAMES[self.decision]

    def __call__(self, network: Graph | IntNetwork) -> float:
        """The agreement of a network, 1 at the best."""
        return agreement_of(self._outputs(network), self.wanted, self.decision)

    def under_strain(self, network: Graph | IntNetwork) -> float:
        """The agreement that is left if the differences are larger, by which networks are chosen; see `strained`."""
        return agreement_of(strained(self._outputs(network), self.wanted), self.wanted, self.decision)

    def _outputs(self, network: Graph | IntNetwork) -> Array:
        return (network.real_logits if isinstance(network, IntNetwork) else network.logits)(self.samples)
