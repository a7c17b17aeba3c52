"""The last layer of a network, fitted anew to the logits that it should give."""

import math

from intnn.approximation.agreement import decision_of
from intnn.approximation.head import sharpened
from intnn.approximation.refit import refitted
from intnn.layers.nodes import Conv2d, Dense
from intnn.network.graph import Graph
from intnn.values.arrays import FloatArray


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
