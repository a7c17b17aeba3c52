"""How far an integer network gives the answers of the float network that it was made from."""

import math
from dataclasses import dataclass, replace

import numpy as np

from intnn.approximation.distil import distilled
from intnn.approximation.refit import refitted
from intnn.convert.labels import task_of
from intnn.layers.nodes import Conv2d, Dense
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import FloatArray


def measured_by(graph: Graph) -> str:
    """What tells whether an answer is right: the "same class", the "same sign" of one output, or "R squared"."""
    outputs = math.prod(graph.output_shape)
    if task_of(graph.metadata, outputs) == "regression":
        return "R squared"
    return "same sign" if outputs == 1 else "same class"


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
    return distilled(layer, x, wanted) if measured_by(graph) == "same class" else refitted(layer, x, wanted)


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
    """The agreement with a float network on samples.

    Of several outputs the largest counts: the measure is the share of samples of the "same class". Of one output that
    ``metadata["task"]`` calls a classification it is the share of the "same sign". Everything else is a regression,
    with "R squared": one less the squared error in parts of the variance, over all outputs.

    Attributes:
        name: "same class", "same sign" or "R squared".
        samples: The samples, floats [n, *input_shape].
        wanted: The float network's outputs, [n, outputs].
    """

    name: str
    samples: FloatArray
    wanted: FloatArray

    @classmethod
    def of(cls, graph: Graph, samples: FloatArray) -> "Measure":
        """The measure that suits a graph's outputs and its ``metadata["task"]``."""
        return cls(measured_by(graph), samples, graph.logits(samples))

    def __call__(self, network: Graph | IntNetwork) -> float:
        """The agreement of a network, 1 at the best."""
        logits = network.real_logits if isinstance(network, IntNetwork) else network.logits
        given = logits(self.samples)
        if self.name == "same class":
            return float(np.mean(given.argmax(axis=1) == self.wanted.argmax(axis=1)))
        if self.name == "same sign":
            return float(np.mean((given > 0) == (self.wanted > 0)))
        error = np.square(given - self.wanted).sum()
        variance = np.square(self.wanted - self.wanted.mean(axis=0)).sum()
        return 1.0 - float(error / variance) if variance else float(error == 0)
