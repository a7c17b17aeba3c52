"""The ranges of a float network's values, by which quantisation scales."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.layers.nodes import Join, Node
from intnn.network.edges import last_of
from intnn.network.graph import BATCH, Graph, applied
from intnn.values.arrays import FloatArray, batched, instance, real, reals
from intnn.values.value_object import ValueObject

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges(ValueObject):
    """The smallest and the largest value that calibration saw, at the input and behind every node.

    Attributes:
        input: The pair (low, high) of the input.
        nodes: The pair (low, high) of every node's output.
        graph: The network that was calibrated; None for ranges that were found in another way. Ranges are equal
            whatever it is.

    Raises:
        TypeError: A range is no pair of numbers, or ``graph`` no `Graph`.
        ValueError: A bound is not finite, or low is above high.
    """

    input: Range
    nodes: tuple[Range, ...]
    graph: Graph | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not np.iterable(self.nodes):
            raise TypeError(f"`nodes` must be a sequence of pairs (low, high), got {self.nodes!r}")
        if self.graph is not None and not isinstance(self.graph, Graph):
            raise TypeError(f"`graph` must be a Graph or None, got {type(self.graph).__name__}")
        object.__setattr__(self, "input", _checked(self.input, "input"))
        object.__setattr__(self, "nodes", tuple(_checked(pair, f"nodes[{i}]") for i, pair in enumerate(self.nodes)))

    def require_graph(self, graph: Graph) -> None:
        """Refuse ranges of another network, whatever its name and metadata.

        Raises:
            ValueError: They are.
        """
        if len(self.nodes) != len(graph.nodes):
            raise ValueError(f"`ranges` must have {len(graph.nodes)} nodes like `graph`, got {len(self.nodes)}")
        if self.graph is not None and self.graph is not graph:
            ours, theirs = (replace(g, name="", metadata={}).fingerprint for g in (self.graph, graph))
            if ours != theirs:
                raise ValueError("`ranges` must be those of `graph`, got another network's; calibrate this one")


def calibrate(graph: Graph, samples: ArrayLike, percentile: float = 100.0) -> Ranges:
    """Run samples through a float network and note the range of every node.

    Args:
        graph: The network.
        samples: Typical inputs, floats [n, *graph.input_shape].
        percentile: The share of the values that a range covers, in (50, 100]. 100 is the full range; 99.9 lets one
            value in a thousand saturate at either end, and spends the integers on the others.

    Raises:
        TypeError: ``graph`` is no `Graph`, ``samples`` does not hold floats, or ``percentile`` is no number.
        ValueError: The shape is wrong, there are no samples, a value is NaN or infinite, or the percentile is out of
            range.
    """
    instance(graph, Graph, "graph")
    percentile = real(percentile, "percentile")
    if not 50.0 < percentile <= 100.0:
        raise ValueError(f"`percentile` must lie in (50, 100], got {percentile}")
    x = batched(reals(samples, "samples"), graph.input_shape, "samples")
    ranges: list[Range] = []

    def step(_: int, node: Node | Join, values: list[FloatArray]) -> FloatArray:
        batches = [[value[start : start + BATCH] for value in values] for start in range(0, len(x), BATCH)]
        y = np.concatenate([applied(0, node, batch) for batch in batches])
        ranges.append(_range(y, percentile))
        return y

    last_of(x, graph.nodes, graph.sources, step)
    return Ranges(_range(x, percentile), tuple(ranges), graph)


def _checked(pair: Any, name: str) -> Range:
    """A range as two floats in order."""
    bounds = [real(bound, name) for bound in pair] if np.iterable(pair) else []
    if len(bounds) != 2:
        raise TypeError(f"`{name}` must be a pair (low, high), got {pair!r}")
    low, high = bounds
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"`Ranges` must hold finite pairs low <= high, got ({low}, {high}) as `{name}`")
    return low, high


def _range(x: FloatArray, percentile: float) -> Range:
    low, high = np.percentile(x, (100.0 - percentile, percentile))
    return float(low), float(high)
