"""A network of squares that computes integers while it is trained.

A square squares the scale of a channel, and the next layer's grid takes that up: nothing is ever rescaled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    Node,
    Reshape,
    Scale,
    Shape,
    SumPool2d,
)
from intnn.network.edges import INPUT
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.domain import IntDomain
from plaintext_models.adaptation.grid import Grid, weight_grid
from plaintext_models.adaptation.trainable import Polynomial, Scaled, Trainable, Weighted
from plaintext_models.training.qat.rounding import round_half_up

FACTOR = 8.0  # the least factor that brings a value on a common scale: a sixteenth of it may be lost


class SquareNetwork(nn.Module):
    """Squares between linear layers, on integers.

    Args:
        graph: Made of linear layers, sums of windows, joins and squares: where the training starts.
        samples: float32 [n, *input_shape]; they choose the scale of the input and the units of training.
        input_bits: Bits of an input, with its sign where samples have negative ones.
        weight_bits: Bits of a weight with its sign, at least 2, of every `Dense` and `Conv2d` in order; the last number
            holds for all that follow.

    Raises:
        TypeError: A node is of another kind.
        ValueError: A scale does not fit a float64, as behind nine squares in a row.
    """

    def __init__(self, graph: Graph, samples: Tensor, input_bits: int, weight_bits: tuple[int, ...]):
        super().__init__()
        self.graph = aligned(graph)
        self.floats = Trainable(self.graph)
        self.floats.settle(samples)
        self.domain, self.input_scale = input_grid(samples, input_bits)
        grids, self.output_scale = self._plan(list(weight_bits))
        self.grids = nn.ModuleDict({str(number): grid for number, grid in grids.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [batch, *input_shape] -> outputs [batch, outputs] in the units of the float network."""
        return self._run((self._rounded(x) / self.input_scale).float(), exact=False)

    def integers(self, x: Tensor) -> Tensor:
        """Inputs [batch, *input_shape] -> the integers [batch, outputs], in float64, which is exact below 2**53."""
        return self._run(self._rounded(x), exact=True)

    def escaped(self) -> Tensor:
        """How far the last batch took the squares' arguments beyond their reach; see `Trainable.escaped`."""
        return self.floats.escaped()

    def worst_bits(self) -> Tensor:
        """How many bits the outputs take in the worst case, with the sign: differentiable, and a fraction.

        Every value lies within a radius of a middle, both of which a linear map takes along (Moore, 1966); a square
        of m ± r ends at (|m| + r)^2.
        """
        top, bottom = float(self.domain.hi), float(self.domain.lo)
        shape = (1, *self.graph.input_shape)
        kind = {"dtype": torch.float64}
        middles = {INPUT: torch.full(shape, (top + bottom) / 2, **kind)}
        radii = {INPUT: torch.full(shape, (top - bottom) / 2, **kind)}
        for number, (layer, sources) in enumerate(zip(self.floats.layers, self.graph.sources, strict=True)):
            middle, radius = ([values[source] for source in sources] for values in (middles, radii))
            if isinstance(layer, Weighted | Scaled):
                weight, bias = self._grid(number).integers(*layer.effective())
                middles[number] = layer.map(middle[0], weight, bias)
                radii[number] = layer.map(radius[0], weight.abs(), torch.zeros_like(bias))
            elif isinstance(layer, Polynomial):
                high = (middle[0].abs() + radius[0]).square()
                low = (middle[0].abs() - radius[0]).clamp(min=0).square()
                middles[number], radii[number] = (high + low) / 2, (high - low) / 2
            else:  # moves or adds values
                middles[number], radii[number] = layer(*middle), layer(*radius)
        last = len(middles) - 2
        return torch.log2((middles[last].abs() + radii[last]).max().clamp(min=1)) + 1

    @torch.no_grad()
    def to_network(self) -> IntNetwork:
        """The network of the present integers; its metadata's "output_scale" is the integers per unit of an output."""
        layers: list[Node | Join] = []
        inputs: list[tuple[int, ...]] = []
        place = {INPUT: INPUT}  # of a node of the graph among the layers
        for number, (node, sources) in enumerate(zip(self.graph.nodes, self.graph.sources, strict=True)):
            layer = self._integer_node(number, node)
            if isinstance(layer, Scale) and (layer.weight == 1).all() and not layer.bias.any():
                place[number] = place[sources[0]]
                continue
            place[number] = len(layers)
            layers.append(layer)
            inputs.append(tuple(place[source] for source in sources))
        return IntNetwork(
            self.graph.input_shape,
            self.domain,
            tuple(layers),
            self.input_scale,
            self.graph.name,
            {**self.graph.metadata, "output_scale": self.output_scale},
            inputs=tuple(inputs),
        )

    def _rounded(self, x: Tensor) -> Tensor:
        return round_half_up((x.double() * self.input_scale).clamp(self.domain.lo, self.domain.hi))

    def _run(self, x: Tensor, *, exact: bool) -> Tensor:
        values = {INPUT: x}
        for number, (layer, sources) in enumerate(zip(self.floats.layers, self.graph.sources, strict=True)):
            read = [values[source] for source in sources]
            if isinstance(layer, Weighted | Scaled):
                grid = self._grid(number)
                values[number] = layer.map(read[0], *(grid.integers if exact else grid.reals)(*layer.effective()))
            else:
                values[number] = layer(*read)
        return values[len(values) - 2].flatten(1)

    def _integer_node(self, number: int, node: Node | Join) -> Node | Join:
        layer = self.floats.layers[number]
        if isinstance(layer, Weighted | Scaled):
            weight, bias = (p.long().numpy() for p in self._grid(number).integers(*layer.effective()))
            return layer.node_of(weight, bias)
        return IntPolynomial((0, 0, 1)) if isinstance(node, Activation) else node

    def _grid(self, number: int) -> Grid:
        grid = self.grids[str(number)]
        assert isinstance(grid, Grid)
        return grid

    def _plan(self, bits: list[int]) -> tuple[dict[int, Grid], float]:
        """The grid of every layer with parameters, and the one scale of all outputs."""
        nodes, sources, shapes = self.graph.nodes, self.graph.sources, self.graph.shapes
        unflattened = any(isinstance(node, Reshape) and len(node.shape) > 1 for node in nodes)
        last, peers = _last_weighted(self.graph), _peers(self.graph)
        scales = {INPUT: torch.full(self.graph.input_shape[:1], self.input_scale, dtype=torch.float64)}
        grids: dict[int, Grid] = {}
        for number, node in enumerate(nodes):
            read = [scales[source] for source in sources[number]]
            shape = self.graph.input_shape if sources[number][0] == INPUT else shapes[sources[number][0]]
            match node:
                case Dense() | Conv2d():
                    layer = self.floats.layers[number]
                    width = bits.pop(0) if len(bits) > 1 else bits[0]
                    grids[number] = weight_grid(layer, read[0], width, unflattened or number == last)
                    scales[number] = grids[number].bias_steps
                case Scale():
                    if number in peers:
                        common = torch.stack([scales[source].abs() for source in peers[number]]).amax(0)
                        is_one = all(torch.equal(scales[source], read[0]) for source in peers[number])
                        scales[number] = read[0] if is_one else FACTOR * common
                    elif number == len(nodes) - 1 and last is None:
                        scales[number] = (FACTOR * read[0].abs().max()).expand_as(read[0])
                    else:
                        factors = torch.tensor(node.weight)
                        scales[number] = read[0] / torch.where(factors == 0, 1.0, factors)
                    grids[number] = Grid(read[0], scales[number], torch.inf)
                case Activation(name="square"):
                    scales[number] = read[0].square()
                case Flatten():
                    scales[number] = read[0].repeat_interleave(shapes[number][0] // shape[0])
                case Reshape():
                    scales[number] = _reshaped(read[0], shape, shapes[number])
                case SumPool2d() | Add():
                    scales[number] = read[0]
                case Concatenate():
                    scales[number] = torch.cat(read)
                case _:
                    raise TypeError(f"`graph` must be made of linear layers and squares, got {node} as node {number}")
            if not torch.isfinite(scales[number]).all():
                raise ValueError(f"`graph` must have fewer squares in a row, got too many before node {number}")
        return grids, scales[len(nodes) - 1][0].item()


def input_grid(samples: Tensor, bits: int) -> tuple[IntDomain, float]:
    """The integers of an input, with a sign where samples have negative values, and how many there are per unit."""
    is_signed = bool(samples.min() < 0)
    top = max(1, 2 ** (bits - is_signed) - 1)
    largest = samples.abs().max().item()
    return IntDomain(-top if is_signed else 0, top), top / (largest or 1.0)


def aligned(graph: Graph) -> Graph:
    """The same function with a `Scale` by one before every input of an `Add`, and at the end.

    There values of different scales are brought on a common one; where they have one already, nothing comes of it.
    """
    nodes: list[Node | Join] = []
    inputs: list[tuple[int, ...]] = []
    place = {INPUT: INPUT}

    def put(node: Node | Join, read: tuple[int, ...]) -> int:
        nodes.append(node)
        inputs.append(read)
        return len(nodes) - 1

    for number, (node, sources) in enumerate(zip(graph.nodes, graph.sources, strict=True)):
        read = tuple(place[source] for source in sources)
        if isinstance(node, Add):
            read = tuple(put(_one(), (source,)) for source in read)
        place[number] = put(node, read)
    if _last_weighted(graph) is None:
        put(_one(), (len(nodes) - 1,))
    return Graph(graph.input_shape, tuple(nodes), graph.name, graph.metadata, tuple(inputs))


def _one() -> Scale:
    return Scale(torch.ones(1).double().numpy(), torch.zeros(1).double().numpy())


def _last_weighted(graph: Graph) -> int | None:
    """The linear layer whose outputs are the network's, but for their order and sums of windows; None without one."""
    number = len(graph.nodes) - 1
    while isinstance(graph.nodes[number], Flatten | Reshape | SumPool2d) and graph.sources[number][0] != INPUT:
        number = graph.sources[number][0]
    return number if isinstance(graph.nodes[number], Dense | Conv2d) else None


def _peers(graph: Graph) -> dict[int, tuple[int, ...]]:
    """For every `Scale` that an `Add` reads in an aligned graph, what all of those read that the same one reads."""
    joins = [sources for node, sources in zip(graph.nodes, graph.sources, strict=True) if isinstance(node, Add)]
    return {scale: tuple(graph.sources[other][0] for other in join) for join in joins for scale in join}


def _reshaped(scale: Tensor, old: Shape, new: Shape) -> Tensor:
    """The scales of channels after the values were given another shape."""
    rows = scale.repeat_interleave(torch.Size(old).numel() // old[0]).reshape(new[0], -1)
    if not torch.equal(rows, rows[:, :1].expand_as(rows)):
        raise ValueError(f"`graph` must not reshape {old} to {new} where channels have several scales")
    return rows[:, 0]
