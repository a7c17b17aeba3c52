"""A float graph as a torch module that can be trained, and back.

Layers store their weights in units that make them look freshly initialised, whatever the scales in the graph: one
learning rate then suits all layers. Activations that are polynomials know how far their arguments reached on samples,
and report what went beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn
from torch.nn import functional

from intnn.layers.geometry import Borders, all_four, both, elements
from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    Join,
    MaxPool2d,
    Node,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.values.arrays import Array

MOST_VALUES = 1 << 26  # of one layer on all samples that it is settled by
SMALLEST_UNIT = 0.01  # of an input, relative to the layer's largest: rare inputs must not get a step of their own
ENOUGH = 1000  # samples, from which an input that never varied is taken for one that never will
Function = Callable[..., Tensor]


class Trainable(nn.Module):
    """A float graph with trainable weights.

    Args:
        graph: What is computed. Its `Scale` nodes stay as they are, since the weights around them are trained.

    Attributes:
        layers: One module per node.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleList(map(_layer, graph.nodes))

    def values(self, x: Tensor) -> list[Tensor]:
        """The output of every node for a batch [batch, *input_shape]."""
        values: list[Tensor] = []
        for layer, sources in zip(self.layers, self.graph.sources, strict=True):
            values.append(layer(*(x if source < 0 else values[source] for source in sources)))
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [batch, *input_shape] -> outputs [batch, outputs], flattened."""
        return self.values(x)[-1].flatten(1)

    @torch.no_grad()
    def settle(self, samples: Tensor) -> None:
        """Choose the units of all layers by samples [n, *input_shape], and leave out what never varies.

        What is computed on the samples stays the same but for rounding: a dense weight whose input was the same in
        each of at least `ENOUGH` samples becomes a part of the bias. Such weights only widen what can be proved.
        """
        largest = max(map(elements, (self.graph.input_shape, *self.graph.shapes)))
        values = {INPUT: samples[: max(1, MOST_VALUES // largest)]}
        last_read = {source: number for number, sources in enumerate(self.graph.sources) for source in sources}
        for number, (layer, sources) in enumerate(zip(self.layers, self.graph.sources, strict=True)):
            read = [values[source] for source in sources]
            if isinstance(layer, Weighted | Polynomial):
                layer.settle(*read)
            values[number] = layer(*read)
            for source in {source for source in sources if last_read[source] == number}:
                del values[source]

    def escaped(self) -> Tensor:
        """How far the last batch took the arguments of polynomials beyond their reach: a differentiable penalty.

        The mean over all channels of the square of the *largest* relative excess in the batch: an average over elements
        would hide the one that leaves, and one is enough to make an answer worthless.
        """
        found = [layer.escaped for layer in self.layers if isinstance(layer, Polynomial)]
        return torch.stack(found).sum() if found else torch.zeros(())

    def to_graph(self) -> Graph:
        """The graph of the present weights."""
        nodes = tuple(_node(layer, node) for layer, node in zip(self.layers, self.graph.nodes, strict=True))
        return replace(self.graph, nodes=nodes)


class Weighted(nn.Module):
    """A `Dense` or `Conv2d` whose weights are parameters times units."""

    def __init__(self, node: Dense | Conv2d):
        super().__init__()
        self.node = node
        self.weight, self.bias = nn.Parameter(tensor(node.weight)), nn.Parameter(tensor(node.bias))
        self.unit: Tensor
        self.bias_unit: Tensor
        self.register_buffer("unit", torch.ones_like(self.weight))
        self.register_buffer("bias_unit", torch.ones_like(self.bias))

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weights and biases as the graph has them."""
        return self.weight * self.unit, self.bias * self.bias_unit

    def forward(self, x: Tensor) -> Tensor:
        """The linear map of a batch."""
        return self.map(x, *self.effective())

    def map(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The linear map with other parameters."""
        node = self.node
        if isinstance(node, Dense):
            return functional.linear(x, weight, bias)
        padded = bordered(x, node.padding)
        return functional.conv2d(padded, weight, bias, node.strides, 0, node.dilations, node.groups)

    def node_of(self, weight: Array, bias: Array) -> Dense | Conv2d:
        """The node with other parameters, floats or integers."""
        return replace(self.node, weight=weight, bias=bias)

    def settle(self, x: Tensor) -> None:
        """Choose units by the layer's input on samples; see `Trainable.settle`."""
        weight, bias = self.effective()
        if isinstance(self.node, Dense) and len(x) >= ENOUGH:
            still = x.amax(0) == x.amin(0)
            bias = bias + weight[:, still] @ x[0, still]
            weight = torch.where(still, 0.0, weight)
        size = x.square().mean([axis for axis in range(x.ndim) if axis != 1]).sqrt()
        size = size.clamp(min=max(SMALLEST_UNIT * size.max().item(), 1e-30))
        terms = weight * columns(self.node, size)
        row = terms.flatten(1).square().mean(1).sqrt() * math.sqrt(weight[0].numel())
        row = torch.where(row > 0, row, 1.0)
        self.unit = across(row, weight.ndim) / columns(self.node, size)
        self.bias_unit = row
        self.weight.copy_(weight / self.unit)
        self.bias.copy_(bias / row)


class Scaled(nn.Module):
    """A `Scale`, as it is."""

    def __init__(self, node: Scale):
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", tensor(node.weight))
        self.register_buffer("bias", tensor(node.bias))

    def effective(self) -> tuple[Tensor, Tensor]:
        """Factors and offsets."""
        return self.weight, self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift every channel."""
        return self.map(x, *self.effective())

    def map(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Scale and shift by other factors."""
        return x * across(weight, x.ndim, 1) + across(bias, x.ndim, 1)

    def node_of(self, weight: Array, bias: Array) -> Scale:
        """A node of other factors, floats or integers; of one weight and several biases, as many of both."""
        return Scale(np.broadcast_to(weight, np.broadcast_shapes(weight.shape, bias.shape)), bias)


class Polynomial(nn.Module):
    """A square, or a polynomial with trainable coefficients in Chebyshev's basis on what its argument reaches."""

    MARGIN = 1.2  # what may be reached, in terms of what was

    def __init__(self, node: Activation):
        super().__init__()
        self.is_square = node.name == "square"
        ascending = (0.0, 0.0, 1.0) if self.is_square else node.coefficients
        self.half_width = 1.0  # of the interval of Chebyshev's basis
        coefficients = tensor(chebyshev.poly2cheb(ascending))
        self.coefficients = nn.Parameter(coefficients, requires_grad=not self.is_square)
        self.reach: Tensor
        self.register_buffer("reach", torch.full((1,), torch.inf))
        self.escaped = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate every element; in training, measure how far the channels leave their reach."""
        if self.training:
            largest = x.abs().transpose(0, 1).flatten(1).amax(1)
            self.escaped = (largest / self.reach - 1).clamp(min=0).square().mean()
        if self.is_square:
            return x.square()
        u = x / self.half_width
        before, last = torch.ones_like(u), u
        y = self.coefficients[0] + (self.coefficients[1] * u if len(self.coefficients) > 1 else torch.zeros_like(u))
        for coefficient in self.coefficients[2:]:
            before, last = last, 2 * u * last - before
            y = y + coefficient * last
        return y

    def settle(self, x: Tensor) -> None:
        """Take the argument on samples as what is reached."""
        ascending = self.ascending()
        largest = x.abs().transpose(0, 1).flatten(1).amax(1) * self.MARGIN
        self.reach = largest.clamp(min=max(SMALLEST_UNIT * largest.max().item(), 1e-30))
        if not self.is_square:
            self.half_width = self.reach.max().item()
            powers = self.half_width ** np.arange(len(ascending))
            self.coefficients.copy_(tensor(chebyshev.poly2cheb(np.array(ascending) * powers)))

    def ascending(self) -> tuple[float, ...]:
        """The coefficients of 1, x, x^2, ..."""
        powers = self.half_width ** np.arange(len(self.coefficients))
        monomials = chebyshev.cheb2poly(self.coefficients.detach().double().numpy())
        ascending = np.zeros(len(powers))
        ascending[: len(monomials)] = monomials  # numpy leaves out the zeros at the end
        return tuple((ascending / powers).tolist())


class Elementwise(nn.Module):
    """Any function of the values of other nodes, without parameters."""

    def __init__(self, function: Function):
        super().__init__()
        self.function = function

    def forward(self, *x: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(*x)


def bordered(x: Tensor, padding: Borders, value: float = 0.0) -> Tensor:
    """A batch of images with rows and columns of one value around them."""
    top, bottom, left, right = all_four(padding)
    return functional.pad(x, (left, right, top, bottom), value=value) if padding else x


def sum_pool(node: SumPool2d, x: Tensor) -> Tensor:
    """The sums of a node's windows."""
    return functional.avg_pool2d(bordered(x, node.padding), both(node.size), both(node.step), divisor_override=1)


def columns(node: Dense | Conv2d, values: Tensor) -> Tensor:
    """One value per input channel, [in], laid beside the weights that read them: [out or 1, in / groups, ...]."""
    if isinstance(node, Dense):
        return values[None]
    outputs, width = node.weight.shape[:2]
    by_group = values.reshape(node.groups, 1, width).expand(-1, outputs // node.groups, -1)
    return by_group.reshape(outputs, width, 1, 1)


def across(values: Tensor, axes: int, axis: int = 0) -> Tensor:
    """A vector as a tensor of ``axes`` axes that varies along one of them."""
    return values.reshape(*(1,) * axis, -1, *(1,) * (axes - axis - 1))


def tensor(values: Array) -> Tensor:
    """A float32 copy of what a node holds."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def _layer(node: Node | Join) -> nn.Module:
    match node:
        case Dense() | Conv2d():
            return Weighted(node)
        case Scale():
            return Scaled(node)
        case Activation(name="square" | "polynomial"):
            return Polynomial(node)
        case Activation():
            return Elementwise(partial(_FUNCTIONS[node.name], *node.coefficients))
        case SumPool2d():
            return Elementwise(partial(sum_pool, node))
        case MaxPool2d():
            return Elementwise(partial(_max_pool, node))
        case Flatten():
            return Elementwise(lambda x: x.flatten(1))
        case Reshape():
            return Elementwise(lambda x: x.reshape(len(x), *node.shape))
        case Add():
            return Elementwise(lambda *x: torch.stack(x).sum(0))
        case Concatenate():
            return Elementwise(lambda *x: torch.cat(x, 1))
    raise TypeError(f"`graph` must be made of float nodes of intnn.layers.nodes, got {type(node).__name__}")


def _node(layer: nn.Module, node: Node | Join) -> Node | Join:
    """A node with the present weights of its layer."""
    match layer:
        case Weighted() | Scaled():
            return layer.node_of(*(values.detach().double().numpy() for values in layer.effective()))
        case Polynomial(is_square=False):
            return Activation("polynomial", layer.ascending())
    return node


def _max_pool(node: MaxPool2d, x: Tensor) -> Tensor:
    return functional.max_pool2d(bordered(x, node.padding, -torch.inf), both(node.size), both(node.step))


_FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "relu": functional.relu,
        "leaky_relu": lambda slope, x: functional.leaky_relu(x, slope),
        "elu": lambda alpha, x: functional.elu(x, alpha),
        "gelu": functional.gelu,
        "gelu_tanh": partial(functional.gelu, approximate="tanh"),
        "silu": functional.silu,
        "softplus": functional.softplus,
        "mish": functional.mish,
        "softsign": functional.softsign,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "hardtanh": lambda low, high, x: functional.hardtanh(x, low, high),
        "hardsigmoid": functional.hardsigmoid,
        "hardswish": functional.hardswish,
    }
)
