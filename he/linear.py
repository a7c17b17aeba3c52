"""Layers seen as stages: linear maps, fused as far as they go, and the activations between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from intnn import Activation, Conv2d, Dense, Graph, LutActivation, Node, Shape


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = weight x + bias, with the places where the architecture, not the training, put a weight.

    Attributes:
        weight: [outputs, inputs], float64 (integers up to 2^53 are exact).
        bias: [outputs].
        support: bool [outputs, inputs], true where the layers connect an input with an output, whatever the weight.
            What the client is told follows from it alone, so a weight that happens to be zero is no secret lost.
    """

    weight: np.ndarray
    bias: np.ndarray
    support: np.ndarray

    def then(self, other: LinearMap) -> LinearMap:
        """The map that applies this one, then `other`."""
        return LinearMap(
            other.weight @ self.weight,
            other.weight @ self.bias + other.bias,
            (other.support.astype(np.float32) @ self.support.astype(np.float32)) > 0,
        )


Stage = LinearMap | Activation | LutActivation


def stages(input_shape: Shape, nodes: Sequence[Node]) -> list[Stage]:
    """The nodes as an alternation that begins with a linear map; neighbouring linear nodes are fused."""
    result: list[Stage] = []
    shape = input_shape
    for node in nodes:
        if isinstance(node, Activation | LutActivation):
            result.append(node)
        else:
            linear = linear_map(node, shape)
            last = result[-1] if result else None
            if isinstance(last, LinearMap):
                result[-1] = last.then(linear)
            else:
                result.append(linear)
        shape = node.output_shape(shape)
    if not result or not isinstance(result[0], LinearMap):
        result.insert(0, _identity(int(np.prod(input_shape))))
    return result


def linear_map(node: Node, shape: Shape) -> LinearMap:
    """A linear node as a matrix, found by applying it to the unit vectors."""
    weight, bias = _matrix(_as_float(node), shape)
    support, _ = _matrix(_all_ones(node), shape)
    return LinearMap(weight, bias, support != 0)


def _matrix(node: Node, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    features = int(np.prod(shape))
    basis = np.vstack([np.zeros((1, features)), np.eye(features)]).reshape(features + 1, *shape)
    images = Graph(shape, (node,)).forward(basis).reshape(features + 1, -1)
    return (images[1:] - images[0]).T, images[0]


def _as_float(node: Node) -> Node:
    if isinstance(node, Dense | Conv2d):
        return replace(node, weight=node.weight.astype(np.float64), bias=node.bias.astype(np.float64))
    return node


def _all_ones(node: Node) -> Node:
    if isinstance(node, Dense | Conv2d):
        return replace(node, weight=np.ones(node.weight.shape), bias=np.zeros(node.bias.shape))
    return node


def _identity(features: int) -> LinearMap:
    return LinearMap(np.eye(features), np.zeros(features), np.eye(features, dtype=bool))
