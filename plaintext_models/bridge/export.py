"""From torch to the networks that every package speaks."""

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intnn.layers.nodes import Activation, Conv2d, Dense, Flatten, LutActivation, Node, Shape, SumPool2d
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.nets.layers import ACTIVATIONS
from plaintext_models.nets.layers import SumPool2d as TorchSumPool2d
from plaintext_models.training.qat.bounded import BoundedConv2d, BoundedLinear
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork

_ACTIVATION_NAMES = {cls: name for name, cls in ACTIVATIONS.items()}


def to_graph(module: nn.Module, input_shape: Shape, name: str = "", **metadata: Any) -> Graph:
    """Export a chain of float layers as it is in evaluation mode; parameters become float64, which is exact.

    Args:
        module: ``nn.Sequential``, nested at will, of Linear, Conv2d, Flatten, ReLU, Tanh, Sigmoid, Dropout, Identity,
            and the layers of `plaintext_models.nets.layers`.
        input_shape: The shape of one input, without the batch axis.
        name: The name of the graph.
        **metadata: Stored with it.

    Raises:
        TypeError: A layer is none of these, or ``input_shape`` is no tuple of integers.
        ValueError: A layer uses what a graph cannot say: groups, dilation, uneven strides, ...
    """
    nodes = [node for layer in _chain(module) for node in _float_nodes(layer)]
    return Graph(input_shape, tuple(nodes), name, metadata)


def to_network(module: TableNetwork, name: str = "", **metadata: Any) -> IntNetwork:
    """Export a quantisation-aware network: ``logits`` gives the integers of ``module.integers``, bit for bit.

    Args:
        module: Trained or not.
        name: The name of the network.
        **metadata: Stored with it.

    Raises:
        TypeError: A layer is not one that `TableNetwork` lists.
    """
    layers = tuple(_integer_node(layer) for layer in _chain(module.layers))
    quantiser = module.quantiser
    return IntNetwork(module.input_shape, quantiser.domain, layers, quantiser.scale, name, metadata)


def _chain(module: nn.Module) -> Iterator[nn.Module]:
    """Leaves in order, without those that do nothing in evaluation mode."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _chain(child)
    elif not isinstance(module, (nn.Dropout, nn.Identity)):
        yield module


def _float_nodes(layer: nn.Module) -> Iterator[Node]:
    match layer:
        case nn.Linear():
            yield Dense(_floats(layer.weight), _bias(layer, layer.out_features))
        case nn.Conv2d():
            stride, padding = _uniform_geometry(layer)
            yield Conv2d(_floats(layer.weight), _bias(layer, layer.out_channels), stride, padding)
        case TorchSumPool2d():
            yield SumPool2d(layer.size, layer.stride)
        case nn.Flatten():
            yield _flatten(layer)
        case _ if type(layer) in _ACTIVATION_NAMES:
            yield Activation(_ACTIVATION_NAMES[type(layer)])
        case _:
            raise TypeError(f"`module` must be made of exportable layers, got {layer}")


def _integer_node(layer: nn.Module) -> Node:
    match layer:
        case BoundedLinear():
            weight, bias = map(_integers, layer.integers())
            return Dense(weight, bias)
        case BoundedConv2d():
            weight, bias = map(_integers, layer.integers())
            return Conv2d(weight, bias, layer.stride, layer.padding)
        case TableActivation():
            return LutActivation(layer.lut())
        case nn.Flatten():
            return _flatten(layer)
    raise TypeError(f"`module` must be made of integer layers, got {layer}")


def _flatten(layer: nn.Flatten) -> Flatten:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ValueError(f"`module` must flatten all axes but the batch, got {layer}")
    return Flatten()


def _uniform_geometry(layer: nn.Conv2d) -> tuple[int, int]:
    """Stride and padding, the same along both axes."""
    plain = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    if isinstance(layer.padding, str) or len({*layer.stride}) > 1 or len({*layer.padding}) > 1 or not plain:
        raise ValueError(
            f"`module` must convolve with one group, no dilation, zero padding and equal steps both ways, got {layer}"
        )
    return layer.stride[0], layer.padding[0]


def _bias(layer: nn.Linear | nn.Conv2d, outputs: int) -> NDArray[Any]:
    return _floats(torch.zeros(outputs) if layer.bias is None else layer.bias)


def _floats(parameter: Tensor) -> NDArray[Any]:
    return parameter.detach().cpu().double().numpy()


def _integers(parameter: Tensor) -> NDArray[Any]:
    return parameter.detach().cpu().long().numpy()
