"""How much wider than what samples reach a range must be: what some of the samples show of the others."""

import numpy as np

from intnn.approximation.fit import SMALLEST_RANGE
from intnn.approximation.replace import is_replaced
from intnn.network.graph import BATCH, Graph
from intnn.values.arrays import FloatArray

PARTS = 5
LEAST, MOST = 1.25, 2.0  # wider ranges cost more agreement than the few inputs beyond them


def measured_margin(graph: Graph, samples: FloatArray) -> float:
    """The margin of the ranges of a network's activations, from 1.25 to 2.

    The extremes of the next samples lie outside those of the ones that were seen: hardly so for pixels that
    convolutions add up, and twice as far for standardised features that are seldom other than zero. So each fifth of
    the samples is held against the others: how many times as far as these it takes a channel, at the most. The margin
    is the mean over the fifths, of the activation where it is largest.

    Args:
        graph: The float network.
        samples: Inputs in random order, floats [n, *graph.input_shape] with n at least 5.
    """
    numbers = [graph.sources[i][0] for i, node in enumerate(graph.nodes) if is_replaced(node)]
    reaches = [_reaches(graph, numbers, part) for part in np.array_split(samples, PARTS)]
    return min(max([LEAST, *map(_beyond, zip(*reaches, strict=True))]), MOST)


def _reaches(graph: Graph, numbers: list[int], samples: FloatArray) -> list[FloatArray]:
    """How far these nodes, or the inputs, reach on samples: for each of them [channels]."""
    found = []
    for start in range(0, len(samples), BATCH):
        x = samples[start : start + BATCH]
        values = [*graph.values(x), x]  # the last is number -1
        found.append([np.abs(values[i]).reshape(*values[i].shape[:2], -1).max(axis=(0, 2)) for i in numbers])
    return [np.max(each, axis=0) for each in zip(*found, strict=True)]


def _beyond(reaches: tuple[FloatArray, ...]) -> float:
    """How many times as far as in all other parts some channel reaches in a part, on average over the parts."""
    each = np.array(reaches)
    others = np.array([np.delete(each, part, axis=0).max(axis=0) for part in range(len(each))])
    least = SMALLEST_RANGE * others.max(axis=1, keepdims=True)
    ratios = each / np.where(least > 0, np.maximum(others, least), np.inf)
    return float(ratios.max(axis=1).mean())
