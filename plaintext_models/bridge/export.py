"""From torch to the networks that every package speaks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intnn.layers.nodes import Activation, Conv2d, Dense, Flatten, LutActivation, Node, Shape, SumPool2d
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.bridge.agreement import require_equal_floats, require_equal_integers
from plaintext_models.bridge.plain import plain_layers, require_plain
from plaintext_models.nets.layers import ACTIVATIONS
from plaintext_models.nets.layers import SumPool2d as TorchSumPool2d
from plaintext_models.training.qat.bounded import BoundedConv2d, BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork


def to_graph(module: nn.Module, input_shape: Shape, name: str = "", **metadata: Any) -> Graph:
    """Export a chain of float layers as it is in evaluation mode; parameters become float64, which is exact.

    A subclass may compute anything, and so may a hook: layers are of these very classes. Before the graph is returned,
    it is compared with the module on random inputs.

    Args:
        module: ``nn.Sequential``, nested at will, of Linear, Conv2d, Flatten, ReLU, Tanh, Sigmoid, Dropout, Identity,
            and the layers of `plaintext_models.nets.layers`. It stays as it is.
        input_shape: The shape of one input, without the batch axis.
        name: The name of the graph.
        **metadata: Stored with it.

    Raises:
        TypeError: A layer is none of these, or ``input_shape`` is no tuple of integers.
        ValueError: A layer uses what a graph cannot say (groups, dilation, uneven strides, ...); hooks, a `forward` of
            its own or recomputed parameters decide what it computes; a parameter is not finite; or the module computes
            something else than its layers do.
    """
    nodes = tuple(_node(layer, _FLOAT_NODES, "exportable") for layer in plain_layers(module))
    graph = Graph(input_shape, nodes, name, metadata)
    require_equal_floats(module, graph)
    return graph


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
    layers = tuple(_node(layer, _INTEGER_NODES, "integer") for layer in plain_layers(module.layers))
    quantiser = module.quantiser
    network = IntNetwork(module.input_shape, quantiser.domain, layers, quantiser.scale, name, metadata)
    require_equal_integers(module, network)
    return network


def _node(layer: nn.Module, makers: Mapping[type[nn.Module], Callable[[Any], Node]], kind: str) -> Node:
    if type(layer) not in makers:
        raise TypeError(f"`module` must be made of {kind} layers, got {layer}; subclasses of these do not count")
    return makers[type(layer)](layer)


def _dense(layer: nn.Linear) -> Dense:
    return Dense(_floats(layer.weight), _bias(layer, layer.out_features))


def _convolution(layer: nn.Conv2d) -> Conv2d:
    stride, padding = _uniform_geometry(layer)
    return Conv2d(_floats(layer.weight), _bias(layer, layer.out_channels), stride, padding)


def _activation(name: str, _layer: nn.Module) -> Activation:
    return Activation(name)


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


def _integer_dense(layer: BoundedLinear) -> Dense:
    weight, bias = map(_integers, layer.integers())
    return Dense(weight, bias)


def _integer_convolution(layer: BoundedConv2d) -> Conv2d:
    weight, bias = map(_integers, layer.integers())
    return Conv2d(weight, bias, layer.stride, layer.padding)


# By the very class of a layer: a subclass may compute anything.
_FLOAT_NODES: Mapping[type[nn.Module], Callable[[Any], Node]] = {
    nn.Linear: _dense,
    nn.Conv2d: _convolution,
    nn.Flatten: _flatten,
    TorchSumPool2d: lambda layer: SumPool2d(layer.size, layer.stride),
    **{kind: partial(_activation, name) for name, kind in ACTIVATIONS.items()},
}
_INTEGER_NODES: Mapping[type[nn.Module], Callable[[Any], Node]] = {
    BoundedLinear: _integer_dense,
    BoundedConv2d: _integer_convolution,
    TableActivation: lambda layer: LutActivation(layer.lut()),
    nn.Flatten: _flatten,
    TorchSumPool2d: lambda layer: SumPool2d(layer.size, layer.stride),
}
