"""A trained network as an `IntNetwork`, whose layers are the forward pass of the training step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from intnn.layers.nodes import Conv2d, Dense, Flatten, LutActivation, Node, Requantise, SumPool2d
from intnn.network.network import IntNetwork
from intnn.training.ops import numpy_
from intnn.training.plan import Plan
from intnn.training.step import Variables, working_weights
from intnn.training.tables import DOMAIN
from intnn.values.domain import IntDomain


def to_network(
    plan: Plan, state: list[Variables], name: str = "", metadata: Mapping[str, Any] | None = None
) -> IntNetwork:
    """The network whose logits are the training step's, bit for bit; ``name`` and ``metadata`` are the network's."""
    layers: list[Node] = []
    flat = len(plan.input_shape) == 1
    for block, variables in zip(plan.blocks, state, strict=True):
        weights, bias = working_weights(block, variables, numpy_)
        # Training has its channels last, an `IntNetwork` has them first.
        kernels = weights.reshape(block.outputs, *block.window, block.channels).transpose(0, 3, 1, 2)
        if flat or block.is_dense:
            if not flat:
                layers.append(Flatten())
                flat = True
            layers.append(Dense(kernels.reshape(block.outputs, -1), bias))
        else:
            layers.append(Conv2d(kernels, bias, block.stride, block.padding))
        if block.activation is not None:
            layers.append(_rescale(block.shift, DOMAIN))
            layers.append(LutActivation(block.activation.values))
            if block.pool > 1:
                layers += [SumPool2d(block.pool), _rescale(block.pool_shift, block.activation.codomain)]
    return IntNetwork(plan.input_shape, plan.inputs, tuple(layers), name=name, metadata=metadata or {})


def _rescale(shift: int, domain: IntDomain) -> Requantise:
    return Requantise(np.array(1 << max(-shift, 0)), max(shift, 0), domain)
