"""Stages of a network: linear maps, each fused from neighbouring layers, and the activations between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from he.ring.params import ParameterError
from intnn import Activation, Conv2d, Dense, Flatten, Graph, LutActivation, Node, Shape, SumPool2d


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The map y = weight x + bias, and the places where the architecture allows a weight.

    Attributes:
        weight: float64 [outputs, inputs]; integers up to 2^53 are exact.
        bias: float64 [outputs].
        support: bool [outputs, inputs], true where the layers connect an input with an output, whatever the weight. The
            interface follows from it and not from the weights, so it does not tell a client which weights are zero.
    """

    weight: np.ndarray
    bias: np.ndarray
    support: np.ndarray

    def then(self, other: LinearMap) -> LinearMap:
        """Return the map that applies this one and then `other`."""
        return LinearMap(
            other.weight @ self.weight,
            other.weight @ self.bias + other.bias,
            (other.support.astype(np.float32) @ self.support.astype(np.float32)) > 0,
        )


Stage = LinearMap | Activation | LutActivation


def to_stages(input_shape: Shape, nodes: Sequence[Node]) -> list[Stage]:
    """Return the nodes as stages that begin with a linear map; neighbouring linear nodes are fused.

    Raises:
        TypeError: if a node has no encrypted evaluation.
    """
    result: list[Stage] = []
    shape = input_shape
    for node in nodes:
        if isinstance(node, Activation | LutActivation):
            result.append(node)
        else:
            if not isinstance(node, Dense | Conv2d | SumPool2d | Flatten):
                raise TypeError(f"a layer must be linear, a table or a polynomial to be encrypted, got {node}")
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
    """Return a linear node as a matrix, found by applying the node, without its bias, to the unit vectors."""
    affine = linear = pattern = node
    if isinstance(node, Dense | Conv2d):
        affine = replace(node, weight=node.weight.astype(np.float64), bias=node.bias.astype(np.float64))
        linear = replace(affine, bias=np.zeros(node.bias.shape))
        pattern = replace(linear, weight=np.ones(node.weight.shape))
    features = int(np.prod(shape))
    units = np.eye(features)
    return LinearMap(
        weight=_apply(linear, units, shape).T,
        bias=_apply(affine, np.zeros((1, features)), shape)[0],
        support=_apply(pattern, units, shape).T > 0,
    )


def _apply(node: Node, rows: np.ndarray, shape: Shape) -> np.ndarray:
    return Graph(shape, (node,)).logits(rows.reshape(-1, *shape))


def _identity(features: int) -> LinearMap:
    return LinearMap(np.eye(features), np.zeros(features), np.eye(features, dtype=bool))


def require_no_constant(stages: Sequence[Stage], modulus: float) -> None:
    """Refuse a stage that ignores its input: its ciphertext would be legible without a key.

    Raises:
        ParameterError: if there is one; the message names it.
    """
    for i, stage in enumerate(stages):
        zero = isinstance(stage, LinearMap) and not np.fmod(stage.weight, modulus).any()
        table = isinstance(stage, LutActivation) and len(set(stage.lut.table.tolist())) == 1
        polynomial = isinstance(stage, Activation) and stage.name == "polynomial" and not any(stage.coefficients[1:])
        if zero or table or polynomial:
            raise ParameterError(f"stage {i} gives the same output for every input: evaluate it in the clear")
