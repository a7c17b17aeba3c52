"""From torch to the networks that every package speaks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intnn.layers.geometry import Shape
from intnn.layers.nodes import Conv2d, Dense, Flatten, LutActivation, Node, SumPool2d
from intnn.network.edges import checked_shape
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.bridge.agreement import require_equal_integers
from plaintext_models.bridge.from_torch import from_torch
from plaintext_models.bridge.plain import plain_layers, require_plain
from plaintext_models.nets.layers import SumPool2d as TorchSumPool2d
from plaintext_models.training.qat.bounded import BoundedConv2d, BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork


def to_graph(module: nn.Module, input_shape: Shape, name: str = "", **metadata: Any) -> Graph:
    """Export a float module as it is in evaluation mode: `from_torch`, by the shape of an input in place of an example.

    Args:
        module: Any module that `from_torch` takes. It stays as it is.
        input_shape: The shape of one input, without the batch axis.
        name: The name of the graph.
        **metadata: Stored with it.

    Raises:
        TypeError: ``module`` is no module, or ``input_shape`` is no tuple of integers.
        ValueError: Where `from_torch` raises it.
    """
    return from_torch(module, torch.zeros(1, *checked_shape(input_shape, "input_shape")), name, **metadata)


def to_network(module: TableNetwork, name: str = "", **metadata: Any) -> IntNetwork:
    """Export a quantisation-aware network: ``logits`` gives the integers of ``module.integers``, bit for bit.

    Args:
        module: Trained or not.
        name: The name of the network.
        **metadata: Stored with it.

    Raises:
        TypeError: ``module`` is no `TableNetwork`, or a layer is not one that it lists.
        ValueError: Hooks, a `forward` of its own or recomputed parameters decide what a layer computes; a parameter is
            not finite; or the module computes something else than its layers do.
    """
    if type(module) is not TableNetwork or type(module.quantiser) is not InputQuantiser:
        raise TypeError(f"`module` must be a TableNetwork with an InputQuantiser, and no subclass, got {module!r}")
    require_plain(module, "module")
    require_plain(module.quantiser, "module.quantiser")
    layers = tuple(_node(layer) for layer in plain_layers(module.layers))
    quantiser = module.quantiser
    network = IntNetwork(module.input_shape, quantiser.domain, layers, quantiser.scale, name, metadata)
    require_equal_integers(module, network)
    return network


def _node(layer: nn.Module) -> Node:
    if type(layer) not in _INTEGER_NODES:  # by its very class: a subclass may compute anything
        raise TypeError(f"`module` must be made of integer layers, got {layer}; subclasses of these do not count")
    return _INTEGER_NODES[type(layer)](layer)


def _flatten(layer: nn.Flatten) -> Flatten:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ValueError(f"`module` must flatten all axes but the batch, got {layer}")
    return Flatten()


def _integers(parameter: Tensor) -> NDArray[Any]:
    return parameter.detach().cpu().long().numpy()


def _integer_dense(layer: BoundedLinear) -> Dense:
    weight, bias = map(_integers, layer.integers())
    return Dense(weight, bias)


def _integer_convolution(layer: BoundedConv2d) -> Conv2d:
    weight, bias = map(_integers, layer.integers())
    return Conv2d(weight, bias, layer.stride, layer.padding)


_INTEGER_NODES: Mapping[type[nn.Module], Callable[[Any], Node]] = {
    BoundedLinear: _integer_dense,
    BoundedConv2d: _integer_convolution,
    TableActivation: lambda layer: LutActivation(layer.lut()),
    nn.Flatten: _flatten,
    TorchSumPool2d: lambda layer: SumPool2d(layer.size, layer.stride),
}
