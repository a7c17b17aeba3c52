"""The networks of `intnn` as torch modules, with gradients; the integer ones with gradients where they have none.

Rounding and tables are piecewise constant: their slope is zero almost everywhere, which hides where to go and protects
from nothing. Forward they are computed as they are, backward in place of them something smooth: the straight-through
estimator of Bengio, Leonard and Courville (arXiv:1308.3432), as an attack the backward pass differentiable
approximation of Athalye, Carlini and Wagner (arXiv:1802.00420).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import skip_init

from intnn.layers.geometry import Shape, all_four
from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    MaxPool2d,
    Node,
    Requantise,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.network.edges import Sources
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import instance
from intnn.values.lut import Lut
from plaintext_models.attacks.core.target import Target
from plaintext_models.nets.layers import ACTIVATIONS
from plaintext_models.nets.layers import SumPool2d as TorchSumPool2d
from plaintext_models.training.qat import rounding

LEVELS = 16  # of a table: what is about as wide as one of its steps counts as rounding
FLOAT32, FLOAT64 = 1 << 24, 1 << 53  # hold every integer up to here


@torch.inference_mode(False)
def float_twin(graph: Graph) -> nn.Module:
    """A float graph as a torch module that can be differentiated.

    Returns:
        In evaluation mode, without trainable parameters. Maps images [batch, *graph.input_shape] to
        `graph.logits(images)`, computed in float64 and returned in the images' own type, float32 at least.

    Raises:
        TypeError: ``graph`` is no `Graph`, or has nodes of a class of one's own.
    """
    instance(graph, Graph, "graph")
    return Twin(graph.input_shape, [_module(node) for node in graph.nodes], graph.sources, narrow=True)


@torch.inference_mode(False)
def straight_through(network: IntNetwork) -> nn.Module:
    """An integer network as a torch module that can be differentiated, and gives the very integers.

    Backward, the quantisation of the input and every rescaling are the line that they round, flat where they saturate.
    A table has the slope between its points a sixteenth of the domain to the left and to the right, which is that of
    the table averaged over this window: a staircase of 16 levels, the four bits of the shipped networks, slopes
    everywhere, and the two sides of an even table do not cancel, as they do in a window that reaches across.

    Returns:
        In evaluation mode, without trainable parameters. Maps images [batch, *network.input_shape] in the units of
        `network.quantise_input` to `network.logits(network.quantise_input(images))`, exactly: as float32 where that
        holds every logit the network can give and the images are no wider, as float64 elsewhere.

    Raises:
        TypeError: ``network`` is no `IntNetwork`.
        ValueError: A sum can be larger than what float64 can hold exactly, 2**53; or the network has no one scale for
            its input.
    """
    instance(network, IntNetwork, "network").require_one_scale()
    largest = network.input_domain.magnitude
    for layer, values, bound in zip(network.layers, network.ranges, network.bounds, strict=True):
        # a rescaling multiplies in int64, where its products are proven to fit
        largest = max(largest, values.magnitude if isinstance(layer, Requantise) else bound)
    if largest > FLOAT64:
        raise ValueError(f"`network` must not have sums beyond 2**53 to be exact in float64, got {largest}")
    modules = [_Quantiser(network), *map(_module, network.layers)]
    sources = ((-1,), *(tuple(source + 1 for source in read) for read in network.sources))  # behind the quantiser
    return Twin(network.input_shape, modules, sources, narrow=network.ranges[-1].magnitude <= FLOAT32)


def integer_target(network: IntNetwork) -> Target:
    """A white box: `straight_through`, its logits divided by a power of two, which changes none of their order.

    Integer logits are thousands apart, where every softmax is 0 or 1 and the cross-entropy has no slope. A sum of n
    independent terms that together range over w, each evenly over its part, has the standard deviation w / √(12 n):
    logits are measured in the power of two next to that, w being the median over the classes: one that ranges far more
    widely than the others would leave them no slope.

    Args:
        network: A network for images in [0, 1].

    Raises:
        TypeError: ``network`` is no `IntNetwork`.
        ValueError: Where `straight_through` raises it.
    """
    module, last = straight_through(network), network.intervals[-1]
    read = network.sources[-1][0]
    terms = math.prod(network.input_shape if read < 0 else network.shapes[read])
    width = float(np.median(last.hi - last.lo))
    unit = 2.0 ** max(0, round(math.log2(max(1, width) / math.sqrt(12 * terms))))
    return Target(lambda images: module.to(images.device)(images) / unit)


def integer_oracle(network: IntNetwork) -> Target:
    """A black box: images in [0, 1] to the logits of the integer network itself, as `straight_through` gives them.

    Raises:
        TypeError: ``network`` is no `IntNetwork`.
        ValueError: A logit can be larger than what float64 can hold exactly, 2**53; or the network has no one scale for
            its input.
    """
    instance(network, IntNetwork, "network").require_one_scale()
    largest = network.ranges[-1].magnitude
    if largest > FLOAT64:
        raise ValueError(f"`network` must not have logits beyond 2**53 to be exact in float64, got {largest}")

    def answers(images: Tensor) -> Tensor:
        logits = network.logits(network.quantise_input(images.detach().cpu().numpy()))
        return torch.from_numpy(logits).to(images.device, _dtype(images, largest <= FLOAT32))

    return Target.oracle(answers)


class Twin(nn.Module):
    """A module for every node, on float64.

    Args:
        input_shape: The shape of one input.
        modules: Applied in this order.
        sources: For every module the numbers of those that it reads; -1 is the input.
        narrow: Whether logits are returned in the type of the images, float32 at least.
    """

    def __init__(self, input_shape: Shape, modules: list[nn.Module], sources: Sources, *, narrow: bool) -> None:
        super().__init__()
        self.layers, self.sources = nn.ModuleList(modules), sources
        self.input_shape, self.narrow = input_shape, narrow
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, *input_shape] -> logits [batch, classes]; ValueError for another shape and for NaN."""
        is_traced = torch.compiler.is_exporting()  # when values are not known
        if images.shape[1:] != self.input_shape or (not is_traced and torch.isnan(images).any()):
            raise ValueError(f"`images` must be [batch, *{self.input_shape}] without NaN, got {tuple(images.shape)}")
        values = {-1: images.double()}
        for number, (layer, read) in enumerate(zip(self.layers, self.sources, strict=True)):
            values[number] = layer(*(values[source] for source in read))
        return values[len(self.layers) - 1].flatten(1).to(_dtype(images, self.narrow))


class _Quantiser(nn.Module):
    """`IntNetwork.quantise_input`; a line between the values that it rounds into the domain."""

    def __init__(self, network: IntNetwork) -> None:
        super().__init__()
        self.scale, self.domain = network.input_scale, network.input_domain

    def forward(self, images: Tensor) -> Tensor:
        scaled = images * self.scale
        exact = rounding.round_half_up(scaled.detach().clamp(self.domain.lo, self.domain.hi))
        return rounding.straight_through(scaled.clamp(self.domain.lo - 0.5, self.domain.hi + 0.5), exact)


class _Rescaling(nn.Module):
    """`Requantise`; a line between the values that it rounds into the domain."""

    def __init__(self, node: Requantise) -> None:
        super().__init__()
        self.shift, self.domain = node.shift, node.domain
        self.multiplier: Tensor
        self.register_buffer("multiplier", _tensor(node.multiplier))

    def forward(self, x: Tensor) -> Tensor:
        factors = self.multiplier.reshape(-1, *(1,) * (x.ndim - 2))
        products, divisor = x.detach().long() * factors, 1 << self.shift
        rest = products & (divisor - 1)
        quotients = (products >> self.shift) + (rest >= divisor - rest)  # 2 rest >= divisor, without an overflow
        smooth = (x * (factors / divisor)).clamp(self.domain.lo - 0.5, self.domain.hi + 0.5)
        return rounding.straight_through(smooth, quotients.clamp(self.domain.lo, self.domain.hi).double())


class _Table(nn.Module):
    """A lookup; the slope of the table averaged over a window of two sixteenths of its domain, less at the ends."""

    def __init__(self, lut: Lut) -> None:
        super().__init__()
        self.low, table = lut.domain.lo, lut.table.astype(np.float64)
        last, reach = len(table) - 1, max(1, len(table) // LEVELS)
        at = np.arange(len(table))
        left, right = np.maximum(at - reach, 0), np.minimum(at + reach, last)
        self.values: Tensor
        self.slopes: Tensor
        self.register_buffer("values", _tensor(table))
        self.register_buffer("slopes", _tensor((table[right] - table[left]) / np.maximum(right - left, 1)))

    def forward(self, x: Tensor) -> Tensor:
        index = x.detach().long() - self.low
        return rounding.straight_through(x * self.slopes[index], self.values[index])


class _Polynomial(nn.Module):
    """c[0] + c[1] x + ..., elementwise."""

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        super().__init__()
        self.coefficients = coefficients

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        for coefficient in reversed(self.coefficients):
            y = y * x + coefficient
        return y


class _Scaling(nn.Module):
    """`Scale`."""

    def __init__(self, node: Scale) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", _tensor(node.weight).double())
        self.register_buffer("bias", _tensor(node.bias).double())

    def forward(self, x: Tensor) -> Tensor:
        along = (-1, *(1,) * (x.ndim - 2))
        return x * self.weight.view(along) + self.bias.view(along)


class _Joined(nn.Module):
    """`Add` or `Concatenate`."""

    def __init__(self, *, is_sum: bool) -> None:
        super().__init__()
        self.is_sum = is_sum

    def forward(self, *values: Tensor) -> Tensor:
        return sum(values[1:], values[0]) if self.is_sum else torch.cat(values, 1)


#: Torch's modules of activations by name; coefficients are their arguments.
_ACTIVATIONS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        **ACTIVATIONS,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU("tanh"),
        "silu": nn.SiLU,
        "softplus": nn.Softplus,
        "mish": nn.Mish,
        "softsign": nn.Softsign,
        "hardtanh": lambda low, high: nn.Hardtanh(low, high) if low < high else _Polynomial((low,)),
        "hardsigmoid": nn.Hardsigmoid,
        "hardswish": nn.Hardswish,
        "polynomial": lambda *coefficients: _Polynomial(coefficients),
    }
)


def _module(node: Node | Join) -> nn.Module:
    match node:
        case Dense():
            out, width = node.weight.shape
            return _filled(skip_init(nn.Linear, width, out), node)
        case Conv2d():
            out, inputs, *kernel = node.weight.shape
            convolution = skip_init(
                nn.Conv2d, inputs * node.groups, out, tuple(kernel), stride=node.strides, dilation=node.dilations,
                groups=node.groups,
            )  # without drawing weights: torch's generator is the caller's  # fmt: skip
            return _bordered(node.borders, 0.0, _filled(convolution, node))
        case SumPool2d():
            return _bordered(all_four(node.padding), 0.0, TorchSumPool2d(node.size, node.step))
        case MaxPool2d():
            return _bordered(all_four(node.padding), -math.inf, nn.MaxPool2d(node.size, node.step))
        case Scale():
            return _Scaling(node)
        case Flatten():
            return nn.Flatten()
        case Reshape():
            return nn.Sequential(nn.Flatten(), nn.Unflatten(1, node.shape))
        case Add() | Concatenate():
            return _Joined(is_sum=isinstance(node, Add))
        case Activation():
            return _ACTIVATIONS[node.name](*node.coefficients)
        case IntPolynomial():
            return _Polynomial(tuple(map(float, node.coefficients)))
        case Requantise():
            return _Rescaling(node)
        case LutActivation():
            return _Table(node.lut)
    raise TypeError(f"a node must be one of intnn.layers.nodes, got {type(node).__name__}")


def _bordered(borders: tuple[int, int, int, int], value: float, module: nn.Module) -> nn.Module:
    """A module behind a border of one value: top, bottom, left, right."""
    top, bottom, left, right = borders
    return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), value), module) if any(borders) else module


def _filled(layer: nn.Module, node: Dense | Conv2d) -> nn.Module:
    layer.weight, layer.bias = (nn.Parameter(_tensor(values).double()) for values in (node.weight, node.bias))
    return layer


def _tensor(values: NDArray[np.float64] | NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(values.copy())  # what a network holds is read-only


def _dtype(images: Tensor, narrow: bool) -> torch.dtype:
    return torch.promote_types(images.dtype, torch.float32) if narrow else torch.float64
