"""From a float chain to a network of tables that computes about the same, for training to start from.

Weights are what the float network has, scaled until their worst case just fits a table; a table is the line that its
activation follows between its ends; and every layer behind one is solved anew for what the tables before it give.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intnn.approximation.refit import refitted
from intnn.layers.geometry import both
from intnn.layers.nodes import Activation, Conv2d, Dense, Flatten, MaxPool2d, Scale, SumPool2d
from intnn.network.graph import Graph
from intnn.values.domain import IntDomain
from plaintext_models.adaptation.trainable import across, columns, tensor
from plaintext_models.nets.layers import SumPool2d as TorchSumPool2d
from plaintext_models.training.qat.bounded import LOGITS, BoundedConv2d, BoundedLinear, largest_scale
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork

HOMOGENEOUS = ("relu", "leaky_relu")  # channels of which may have a scale of their own
SATURATED = 0.995  # the quantile of an activation's values at which a table has its last level
STRAIGHT = (0.1, 0.9)  # the part of an activation's values to which its line is fitted
STEEPEST = 16.0  # of a table's line: half of the domain holds all levels 16 times
ROOM = 0.5  # of a table's domain, that a bias may take at the start
_BOUNDED = (BoundedLinear, BoundedConv2d)
QUANTILES = 1 << 20  # values of which a quantile is taken, at most


@torch.no_grad()
def table_network(graph: Graph, samples: Tensor, input_bits: int, points: int, levels: int, even: bool) -> TableNetwork:
    """A network of tables that starts where a float network ended.

    Args:
        graph: A chain of linear layers, each but the last followed by an activation; pools between them.
        samples: float32 [n, *input_shape] in [0, 1]; they say what is reached.
        input_bits: Bits of an input, from 1 to 8.
        points: Points of every table, odd.
        levels: Values of every table.
        even: Whether tables read magnitudes, and so cost less.

    Raises:
        TypeError: The graph has branches, or a node that tables cannot follow or precede.
        ValueError: Samples leave [0, 1], or ``points`` are too few for the inputs of a layer.
    """
    if not graph.is_chain:
        raise TypeError("`graph` must be a chain to be made of tables, got branches; use the form `squares`")
    if samples.min() < 0 or samples.max() > 1:
        low, high = samples.min().item(), samples.max().item()
        raise ValueError(f"`samples` must lie in [0, 1] for tables, got [{low:g}, {high:g}]; rescale them")
    if not isinstance(graph.nodes[-1], Dense):
        raise TypeError(f"`graph` must end in a dense layer to be made of tables, got {graph.nodes[-1]}")
    quantiser = InputQuantiser(input_bits)
    walk = _Walk(quantiser(samples), quantiser.domain.hi)
    floats = [tensor(values) for values in graph.values(samples.double().numpy())]
    for number, node in enumerate(graph.nodes):
        match node:
            case Dense() | Conv2d():
                following = next((other for other in graph.nodes[number:] if isinstance(other, Activation)), None)
                walk.put_linear(node, floats[number], following, points)
            case Activation():
                walk.put_table(floats[number], levels, even)
            case SumPool2d() | MaxPool2d() if node.padding == 0 and all(map(_is_one, (node.size, node.step))):
                walk.put_pool(node)
            case Scale():
                walk.put_scale(node)
            case Flatten():
                walk.put_flatten()
            case _:
                raise TypeError(f"`graph` must be made of layers that tables can follow, got {node} as node {number}")
    network = TableNetwork(graph.input_shape, quantiser, walk.layers)
    ours, theirs = network.integers(samples), floats[-1].flatten(1)
    slope = ((ours * theirs).sum() / ours.square().sum().clamp(min=1)).clamp(min=1e-9)
    network.log_temperature.fill_(slope.log())
    return network


class _Walk:
    """The layers so far, what they give on samples, and what that stands for: value = unit * integer + offset."""

    def __init__(self, x: Tensor, largest: int):
        self.layers: list[nn.Module] = []
        self.x, self.largest = x, largest
        self.unit = torch.full(x.shape[1:2], 1 / largest)
        self.offset = torch.zeros(x.shape[1:2])
        self.scale = torch.ones(1)  # integers per unit of the last linear layer's outputs

    def put_linear(self, node: Dense | Conv2d, target: Tensor, following: Activation | None, points: int) -> None:
        """A bounded layer with a node's weights, or with such that give its outputs of what is here."""
        if any(isinstance(layer, _BOUNDED) for layer in self.layers[-1:]):
            raise TypeError("`graph` must have an activation between linear layers to be made of tables")
        if self.layers:
            values = self.x * across(self.unit, self.x.ndim, 1) + across(self.offset, self.x.ndim, 1)
            node = refitted(node, values.double().numpy(), target.double().numpy())
        sums = LOGITS if following is None else IntDomain.symmetric(points)
        is_shared = following is None or following.name not in HOMOGENEOUS
        layer = _bounded(node, self.largest, sums, is_shared)
        weight, bias = tensor(node.weight), tensor(node.bias)
        bias = bias + (weight * columns(node, self.offset)).flatten(1).sum(1)
        self.scale = _load(layer, weight * columns(node, self.unit), bias)
        self.layers.append(layer)
        self.x = layer(self.x)

    def put_table(self, target: Tensor, levels: int, even: bool) -> None:
        """A table whose line follows an activation's values."""
        if not self.layers or not isinstance(self.layers[-1], _BOUNDED):
            raise TypeError("`graph` must have every activation right behind a linear layer to be made of tables")
        table = TableActivation(self.layers[-1].sums, levels, even)
        share = target * across(self.scale, target.ndim, 1)
        low, high = share.min(), torch.quantile(_some(share), SATURATED)
        share = _some(share - low) / (high - low).clamp(min=1e-9)
        z = _some(self.x) / table.domain.hi
        rising = (share > STRAIGHT[0]) & (share < STRAIGHT[1])
        slope, offset = _line(z[rising][None], share[rising][None]) if rising.any() else (table.slope, table.offset)
        table.slope.fill_(slope.clamp(1.0, STEEPEST).item())
        table.offset.fill_(offset.clamp(-1.0, 1.0).item())
        self.layers.append(table)
        self.x, self.largest = table(self.x), levels - 1
        self.unit, self.offset = _line(*(values.transpose(0, 1).flatten(1) for values in (self.x, target)))
        known = self.unit > 0
        typical = self.unit[known].median() if known.any() else torch.ones(())
        self.unit = torch.where(known, self.unit, typical)

    def put_pool(self, node: SumPool2d | MaxPool2d) -> None:
        """Sums of windows; in place of maxima their means."""
        size, area = both(node.size)[0], node.area
        self.layers.append(TorchSumPool2d(size, both(node.step)[0]))
        self.x, self.largest = self.layers[-1](self.x), self.largest * area
        if isinstance(node, MaxPool2d):
            self.unit = self.unit / area
        else:
            self.offset = self.offset * area

    def put_scale(self, node: Scale) -> None:
        """What integers stand for is scaled; they are not."""
        if not self.layers or isinstance(self.layers[-1], _BOUNDED):
            raise TypeError("`graph` must have no Scale around its first layer and its activations; fold it into those")
        self.unit = self.unit * tensor(node.weight)
        self.offset = self.offset * tensor(node.weight) + tensor(node.bias)

    def put_flatten(self) -> None:
        """Every element becomes a channel."""
        self.layers.append(nn.Flatten())
        count = math.prod(self.x.shape[2:])
        self.x = self.x.flatten(1)
        self.unit, self.offset = self.unit.repeat_interleave(count), self.offset.repeat_interleave(count)


def _is_one(sides: int | tuple[int, int]) -> bool:
    return isinstance(sides, int)


def _bounded(node: Dense | Conv2d, largest: int, sums: IntDomain, is_shared: bool) -> BoundedLinear | BoundedConv2d:
    if isinstance(node, Dense):
        outputs, inputs = node.weight.shape
        return BoundedLinear(inputs, outputs, largest, sums, is_shared)
    outputs, inputs, height, width = node.weight.shape
    if not (node.is_plain and height == width):
        raise TypeError(f"`graph` must have square windows, no groups and equal steps for tables, got {node}")
    stride, padding = node.strides[0], node.padding
    assert isinstance(padding, int)
    return BoundedConv2d(inputs, outputs, height, largest, sums, stride, padding, is_shared)


def _load(layer: BoundedLinear | BoundedConv2d, weight: Tensor, bias: Tensor) -> Tensor:
    """Give a bounded layer weights in the size of fresh ones, and biases; the integers per unit of an output [out]."""
    rows = weight.flatten(1)
    size = (rows.square().mean(1).sqrt() * math.sqrt(rows.shape[1])).clamp(min=1e-12)
    size = size.mean().expand_as(size) if layer.is_shared else size
    rows = rows / size[:, None]
    room = torch.full((len(rows),), float(layer.sums.hi // layer.input_max))
    scale = largest_scale(rows, room, room)
    scale = scale.min().expand_as(scale) if layer.is_shared else scale
    layer.weight.copy_(rows.view_as(weight))
    unit = layer.unit * layer.input_max
    layer.bias.copy_((bias * scale / size / unit).clamp(-ROOM * layer.sums.hi / unit, ROOM * layer.sums.hi / unit))
    return scale / size


def _line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and offset [n] of the least-squares line through the points of every row [n, m]."""
    middle_x, middle_y = x.mean(1), y.mean(1)
    x, y = x - middle_x[:, None], y - middle_y[:, None]
    slope = (x * y).sum(1) / x.square().sum(1).clamp(min=1e-9)
    return slope, middle_y - slope * middle_x


def _some(values: Tensor) -> Tensor:
    """At most `QUANTILES` of the values, evenly spaced."""
    flat = values.flatten()
    return flat[:: 1 + len(flat) // QUANTILES]
