"""The ranges of a float network's values, by which quantisation scales."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.network.graph import Graph, evaluate
from intnn.values.arrays import FloatArray, batched, reals
from intnn.values.value_object import ValueObject

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges(ValueObject):
    """The smallest and the largest value that calibration saw, at the input and behind every node.

    Attributes:
        input: The pair (low, high) of the input.
        nodes: The pair (low, high) of every node's output.

    Raises:
        ValueError: A bound is not finite, or low is above high.
    """

    input: Range
    nodes: tuple[Range, ...]

    def __post_init__(self) -> None:
        for low, high in (self.input, *self.nodes):
            if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                raise ValueError(f"`Ranges` must hold finite pairs low <= high, got ({low}, {high})")


def calibrate(graph: Graph, samples: ArrayLike, percentile: float = 100.0) -> Ranges:
    """Run samples through a float network and note the range of every node.

    Args:
        graph: The network.
        samples: Typical inputs, floats [n, *graph.input_shape].
        percentile: The share of the values that a range covers, in (50, 100]. 100 is the full range; 99.9 lets one
            value in a thousand saturate at either end, and spends the integers on the others.

    Raises:
        TypeError: ``samples`` does not hold floats.
        ValueError: The shape is wrong, there are no samples, a value is NaN or infinite, or the percentile is out of
            range.
    """
    if not 50.0 < percentile <= 100.0:
        raise ValueError(f"`percentile` must lie in (50, 100], got {percentile}")
    x = batched(reals(samples, "samples"), graph.input_shape, "samples")
    input_range, ranges = _range(x, percentile), []
    for node in graph.nodes:
        x = evaluate((node,), x)
        ranges.append(_range(x, percentile))
    return Ranges(input_range, tuple(ranges))


def _range(x: FloatArray, percentile: float) -> Range:
    low, high = np.percentile(x, (100.0 - percentile, percentile))
    return float(low), float(high)
