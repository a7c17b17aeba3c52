"""Stages of a network: linear maps, each fused from neighbouring layers, and the activations between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from he.compiler.linear import LinearMap, linear_map
from he.ring.params import ParameterError
from intnn import Activation, Conv2d, Dense, Flatten, LutActivation, Node, Reshape, Scale, Shape, SumPool2d

Stage = LinearMap | Activation | LutActivation


def to_stages(input_shape: Shape, nodes: Sequence[Node]) -> list[Stage]:
    """Return the nodes as stages that begin with a linear map; neighbouring linear nodes are fused.

    Raises:
        ParameterError: if a linear map has too many terms.
        TypeError: if a node has no encrypted evaluation.
    """
    result: list[Stage] = []
    shape = input_shape
    for i, node in enumerate(nodes):
        if isinstance(node, Activation | LutActivation):
            result.append(node)
        else:
            if not isinstance(node, Dense | Conv2d | Scale | SumPool2d | Flatten | Reshape):
                raise TypeError(f"a layer must be linear, a table or a polynomial to be encrypted, got {node}")
            try:
                linear = linear_map(node, shape)
                last = result[-1] if result else None
                if isinstance(last, LinearMap):
                    result[-1] = last.then(linear)
                else:
                    result.append(linear)
            except ParameterError as refusal:
                raise ParameterError(f"layer {i}: {refusal}") from None
        shape = node.output_shape(shape)
    if not result or not isinstance(result[0], LinearMap):
        result.insert(0, LinearMap.identity(math.prod(input_shape)))
    return result


def require_no_constant(stages: Sequence[Stage], modulus: float) -> None:
    """Refuse a stage that ignores its input: its ciphertext would be legible without a key.

    Raises:
        ParameterError: if there is one; the message names it.
    """
    for i, stage in enumerate(stages):
        zero = isinstance(stage, LinearMap) and not np.fmod(stage.weights, modulus).any()
        table = isinstance(stage, LutActivation) and len(set(stage.lut.table.tolist())) == 1
        polynomial = isinstance(stage, Activation) and stage.name == "polynomial" and not any(stage.coefficients[1:])
        if zero or table or polynomial:
            raise ParameterError(f"stage {i} gives the same output for every input: evaluate it in the clear")
