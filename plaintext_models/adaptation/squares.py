"""A network of squares that computes integers while it is trained, so many bits in the worst case and no more.

A square squares the scale of a channel, and the next layer's grid takes that up: nothing is ever rescaled.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from intnn.layers.geometry import elements
from intnn.layers.nodes import (
    Activation,
    Concatenate,
    Flatten,
    IntPolynomial,
    Join,
    Node,
    Reshape,
    Shape,
)
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, integer
from intnn.values.domain import IntDomain
from plaintext_models.adaptation.budget import Alignment, aligned, budgets, filling
from plaintext_models.adaptation.grid import Rounded, rounded
from plaintext_models.adaptation.trainable import Polynomial, Scaled, Trainable, Weighted, columns
from plaintext_models.training.qat.rounding import round_half_up

MOST_BITS = 900  # float64 holds scales of as many
EXACT = 1 << 53  # float64 holds every integer up to here;
ROUNDING = 2.0**-40  # beyond, sums are right to this part of their bound


class SquareNetwork(nn.Module):
    """Squares between linear layers, on integers.

    Args:
        graph: Made of linear layers, sums of windows, joins and squares: where the training starts.
        samples: float32 [n, *input_shape]; they choose the scale of the input and the units of training.
        input_bits: Bits of an input, with its sign where samples have negative ones.
        max_bits: Bits of an output in the worst case, with its sign.

    Raises:
        TypeError: A node is of another kind.
        ValueError: ``max_bits`` are too few for the network.
    """

    def __init__(self, graph: Graph, samples: Tensor, input_bits: int, max_bits: int):
        super().__init__()
        self.graph = aligned(graph)
        self.floats = Trainable(self.graph)
        self.floats.settle(samples)
        self.domain, self.input_scale = input_grid(samples, input_bits)
        self.budgets, self.alignments = budgets(self.graph, self.domain, integer(max_bits, "max_bits", 3, MOST_BITS))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [batch, *input_shape] -> outputs [batch, outputs] in the units of the float network."""
        reals = {number: layer.reals() for number, layer in self.parameters_rounded()[0].items()}
        return self._run((self._inputs(x) / self.input_scale).float(), reals)

    def integers(self, x: Tensor) -> Tensor:
        """Inputs [batch, *input_shape] -> the integers [batch, outputs], in float64, which is exact below 2**53."""
        integers = {number: (layer.weight, layer.bias) for number, layer in self.parameters_rounded()[0].items()}
        return self._run(self._inputs(x), integers)

    @torch.no_grad()
    def to_network(self) -> IntNetwork:
        """The network of the present integers; its metadata's "output_scale" is the integers per unit of an output."""
        parameters, output_scale = self.parameters_rounded()
        layers: list[Node | Join] = []
        for number, (node, layer) in enumerate(zip(self.graph.nodes, self.floats.layers, strict=True)):
            if isinstance(layer, Weighted | Scaled):
                mine = parameters[number]
                layers.append(layer.node_of(mine.weight.long().numpy(), _python_ints(mine.bias)))
            else:
                layers.append(IntPolynomial((0, 0, 1)) if isinstance(node, Activation) else node)
        metadata = {**self.graph.metadata, "output_scale": output_scale}
        shape, name, inputs = self.graph.input_shape, self.graph.name, self.graph.inputs
        return IntNetwork(shape, self.domain, tuple(layers), self.input_scale, name, metadata, inputs=inputs)

    def parameters_rounded(self) -> tuple[dict[int, Rounded], float]:
        """The integers of every layer with parameters, by the number of its node, and the one scale of the outputs."""
        nodes, sources, shapes = self.graph.nodes, self.graph.sources, (*self.graph.shapes, self.graph.input_shape)
        scales = {INPUT: torch.full(self.graph.input_shape[:1], self.input_scale, dtype=torch.float64)}
        found: dict[int, Rounded] = {}
        for number, (node, layer) in enumerate(zip(nodes, self.floats.layers, strict=True)):
            read = [scales[source] for source in sources[number]]
            if isinstance(layer, Weighted):
                weight, bias = layer.effective()
                beside = columns(layer.node, read[0])
                rows = (weight.detach().double() / beside).flatten(1)
                scales[number] = self.budgets[number].scale(rows, bias.detach().double())
                found[number] = rounded(weight, bias, beside, scales[number])
            elif isinstance(layer, Scaled):
                scales[number] = self._common_scale(self.alignments[number], scales)
                found[number] = rounded(*layer.effective(), read[0], scales[number])
            elif isinstance(layer, Polynomial):
                scales[number] = read[0].square()
            elif isinstance(node, Flatten | Reshape):
                scales[number] = _reshaped(read[0], shapes[sources[number][0]], shapes[number])
            else:
                scales[number] = torch.cat(read) if isinstance(node, Concatenate) else read[0]
        return found, scales[len(nodes) - 1][0].item()

    def _common_scale(self, alignment: Alignment, scales: dict[int, Tensor]) -> Tensor:
        """The scale on which a `Scale` and those of its group bring what they read."""
        reach = torch.zeros(1, dtype=torch.float64)
        for peer, source, largest in alignment.group:
            layer = self.floats.layers[peer]
            assert isinstance(layer, Scaled)
            factor, offset = (values.double().abs() for values in layer.effective())
            reach = reach + factor * largest / scales[source] + offset
        scale = filling(alignment.sums, reach)
        return scale.min().expand_as(scale) if alignment.is_shared else scale

    def _inputs(self, x: Tensor) -> Tensor:
        return round_half_up((x.double() * self.input_scale).clamp(self.domain.lo, self.domain.hi))

    def _run(self, x: Tensor, parameters: dict[int, tuple[Tensor, Tensor]]) -> Tensor:
        values = {INPUT: x}
        for number, (layer, sources) in enumerate(zip(self.floats.layers, self.graph.sources, strict=True)):
            read = [values[source] for source in sources]
            if isinstance(layer, Weighted | Scaled):
                weight, bias = parameters[number]
                values[number] = layer.map(read[0], weight.to(x.dtype), bias.to(x.dtype))
            else:
                values[number] = layer(*read)
        return values[len(values) - 2].flatten(1)


def _python_ints(values: Tensor) -> Array:
    """Integers that floats hold, however large."""
    return np.array([int(value) for value in values.tolist()], dtype=object)


def _reshaped(scale: Tensor, old: Shape, new: Shape) -> Tensor:
    """The scales of channels after the values were given another shape."""
    rows = scale.repeat_interleave(elements(old) // old[0]).reshape(new[0], -1)
    if not torch.equal(rows, rows[:, :1].expand_as(rows)):
        raise ValueError(f"`graph` must not reshape {old} to {new} where channels have several scales")
    return rows[:, 0]


def input_grid(samples: Tensor, bits: int) -> tuple[IntDomain, float]:
    """The integers of an input, with a sign where samples have negative values, and how many there are per unit."""
    is_signed = bool(samples.min() < 0)
    top = max(1, 2 ** (bits - is_signed) - 1)
    largest = samples.abs().max().item()
    return IntDomain(-top if is_signed else 0, top), top / (largest or 1.0)


@torch.no_grad()
def require_equal_integers(module: SquareNetwork, network: IntNetwork, samples: Tensor) -> None:
    """Compare a module with its network: bit for bit below 2**53, and to the rounding of float64 sums beyond.

    Raises:
        ValueError: An output differs.
    """
    theirs = module.integers(samples).numpy()
    ours = network.logits(network.quantise_input(samples.double().numpy())).astype(np.float64)
    bound = network.accumulator_bound
    if np.abs(ours - theirs).max() > (0.0 if bound < EXACT else ROUNDING * bound):
        raise ValueError("`module` must compute the integers of its network, but gives others on samples")
