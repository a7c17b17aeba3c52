"""Networks of squares as integer networks: no table, and nothing is rounded but inputs and weights.

The square of an integer is one. So a value v of the float network becomes integers n with v = unit n + offset, where
every channel has a unit and an offset of its own; a square makes unit**2 of a unit, and the next weighted layer takes
units and offsets into its columns before these are rounded. What grows is the integers: they double their bits with
every square, and nothing ever brings them down again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

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
from intnn.network.edges import INPUT, last_of
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.ops import numpy_
from intnn.quantisation.final import final_layer
from intnn.quantisation.grid import grid, rounded
from intnn.quantisation.units import LARGEST, Value, Weights, columns, common_unit, whole
from intnn.values.arrays import FloatArray, batched, instance, integer, reals
from intnn.values.domain import IntDomain

Scaling = dict[str, list[float]]

WIDER = float(1 << 20)  # times its usual weights, and a layer is multiplied instead
SMALLEST = 1e-120  # units below would leave float64 with the next square


def integer_squares(
    graph: Graph,
    samples: ArrayLike,
    input_bits: int = 2,
    weight_bits: int | Sequence[int] = 5,
    reference: Graph | None = None,
    by_feature: bool = False,
) -> IntNetwork:
    """Round a float network of squares to an integer network of squares.

    Args:
        graph: The float network, whose activations are all "square" or polynomials of degree 2 at most; see
            `intnn.approximation.approximate` for others.
        samples: Typical inputs, floats [n, *graph.input_shape]. They say how far inputs reach, and which errors of a
            layer's weights make up for each other (see `intnn.quantisation.compensate`).
        input_bits: The bits of an input element, 1 to 16, unsigned where no sample is negative.
        weight_bits: The bits of a weight, 2 to 24, signed and symmetric; a number, or one for each weighted layer.
            Every output channel has a scale of its own where the next layer can undo it.
        reference: The float network that ``graph`` stands for. A dense layer at the end is fitted to its logits on the
            samples, behind everything that has been rounded before it; by default ``graph`` itself.
        by_feature: Whether every feature of a vector is scaled by its own range on the samples, and not all by one;
            ``metadata["scaling"]`` then holds "least" and "step" of all, by which `IntNetwork.quantise_input` rounds.

    Returns:
        The integer network, with the graph's metadata and "output_scale", the integer units per float unit of its
        logits. Its values may be beyond int64.

    Raises:
        TypeError: ``graph`` is no `Graph`, or ``samples`` holds no floats.
        ValueError: Samples are missing, of another shape, NaN or infinite; or the network has another activation or a
            maximum, or more squares in a row than floats can scale.
    """
    instance(graph, Graph, "graph")
    x = batched(reals(samples, "samples"), graph.input_shape, "samples")
    integer(input_bits, "input_bits", 1, 16)
    weighted = [i for i, node in enumerate(graph.nodes) if isinstance(node, Dense | Conv2d)]
    bits = weight_bits if np.iterable(weight_bits) else [weight_bits] * len(weighted)
    if len(bits) != len(weighted):
        raise ValueError(f"`weight_bits` must be one number or one for each of {len(weighted)} layers, got {bits}")
    largest = {i: (1 << integer(b, "weight_bits", 2, 24) - 1) - 1 for i, b in zip(weighted, bits, strict=True)}
    if by_feature and len(graph.input_shape) > 1:
        raise ValueError(f"`by_feature` must be False for images, got an input of shape {graph.input_shape}")
    domain, entering, scaling = (_by_feature if by_feature else _by_one_scale)(x, input_bits)
    writer = _Writer(graph, largest, (reference or graph).logits(x))
    unit = writer.write(entering)
    metadata = {**graph.metadata, "output_scale": 1 / unit, **({"scaling": scaling} if by_feature else {})}
    layers, inputs = tuple(writer.layers), tuple(writer.inputs)
    scale = 1.0 if by_feature else float(1 / entering.unit[0])
    return IntNetwork(graph.input_shape, domain, layers, scale, graph.name, metadata, inputs)


def _by_one_scale(x: FloatArray, bits: int) -> tuple[IntDomain, Value, Scaling]:
    domain, scale = grid((float(x.min()), float(x.max())), bits)
    unit = np.full(x.shape[1], 1 / scale)
    return domain, Value(INPUT, unit, np.zeros(len(unit)), rounded(x, scale, domain)), {}


def _by_feature(x: FloatArray, bits: int) -> tuple[IntDomain, Value, Scaling]:
    domain = IntDomain(0, (1 << bits) - 1)
    least, most = x.min(axis=0), x.max(axis=0)
    step = np.where(most > least, (most - least) / domain.hi, 1.0)
    integers = np.floor((x - least) / step + 0.5)
    return domain, Value(INPUT, step, least, integers), {"least": least.tolist(), "step": step.tolist()}


class _Writer:
    """Writes the layers of an integer network, one float node after the other."""

    def __init__(self, graph: Graph, largest_weights: Mapping[int, int], logits: FloatArray) -> None:
        self.layers: list[Node | Join] = []
        self.inputs: list[tuple[int, ...]] = []
        self._close = 1 / (
            8 * max(largest_weights.values(), default=64)
        )  # beside what rounding does to weights, little
        self._graph, self._largest_weights, self._logits = graph, largest_weights, logits
        self._readers = Counter(number for read in graph.sources for number in read)
        self._needs_one_unit = _with_one_unit(graph)

    def write(self, entering: Value) -> float:
        """Write all nodes, and return the one unit of the logits."""
        last = last_of(entering, self._graph.nodes, self._graph.sources, self._step)
        (logits,) = self._aligned([last], shared=True)
        logits = self._settled(logits)
        if logits.number == INPUT:  # all nodes were factors, which went into the unit
            self._emit(Scale(np.ones(1, np.int64), np.zeros(1, np.int64)), logits)
        return float(logits.unit[0])

    def _step(self, i: int, node: Node | Join, values: list[Value]) -> Value:
        value = values[0]
        match node:
            case Dense() | Conv2d():
                value = self._weighted(i, node, value)
            case Scale():
                value = self._scaled(value, node.weight, node.bias)
            case Activation() if node.is_polynomial:
                value = self._activated(i, node, value)
            case SumPool2d():
                value = self._settled(value) if node.padding else value
                value = self._moved(node, value, value.unit, value.offset * node.area)
            case Flatten() | Reshape():
                value = self._reshaped(node, value, self._graph.shapes[i])
            case Add():
                values = self._aligned(values, i in self._needs_one_unit)
                value = self._joined(node, values, values[0].unit, np.sum([v.offset for v in values], axis=0))
            case Concatenate():
                values = self._aligned(values, shared=True)  # or the next layer's weights would be of all sizes
                ends = (np.concatenate([getattr(v, name) for v in values]) for name in ("unit", "offset"))
                value = self._joined(node, values, *ends)
            case _:
                raise ValueError(
                    f"`graph.nodes[{i}]` must be linear, a sum or a square to become one on integers, got {node}; "
                    "replace it by intnn.approximation.approximate(graph, samples, degree=2)"
                )
        return value if self._readers[i] < 2 else replace(value, weights=None)

    def _weighted(self, i: int, node: Dense | Conv2d, value: Value) -> Value:
        """A weighted layer that takes its input's units and offsets into its columns."""
        if isinstance(node, Conv2d) and node.padding:
            value = self._settled(value)  # zeros around the image are zeros of either kind
        node = final_layer(self._graph, i, node, value.reals, self._logits)
        offset = (node.weight * columns(node, value.offset)).reshape(len(node.weight), -1).sum(axis=1)
        layer = replace(node, weight=node.weight * columns(node, value.unit), bias=node.bias + offset)
        return self._rounded(Weights(layer, value, self._largest_weights[i], i in self._needs_one_unit))

    def _scaled(self, value: Value, weight: FloatArray, bias: FloatArray) -> Value:
        """A value times a factor plus an offset, by the layer that gives it or in unit and offset alone."""
        if value.weights is None:
            return replace(value, unit=value.unit * weight, offset=value.offset * weight + bias)
        return self._rounded(value.weights.scaled(weight, bias), value.number)

    def _rounded(self, weights: Weights, place: int | None = None, unit: FloatArray | None = None) -> Value:
        """A layer on integers, rounded to a unit or to its own; it may take the place of an earlier one."""
        unit = weights.units() if unit is None else unit
        layer = weights.rounded(unit)
        if place is None:
            place = self._emit(layer, weights.reads)
        else:
            self.layers[place] = layer
        return Value(place, unit, np.zeros(len(unit)), layer.apply(weights.reads.integers, numpy_), weights)

    def _activated(self, i: int, node: Activation, value: Value) -> Value:
        """A polynomial of degree 2 as the square of a sum: c (x + m)**2 + d."""
        c0, c1, c2, *higher = (*(node.coefficients or (0.0, 0.0, 1.0)), 0.0, 0.0, 0.0)
        if any(higher):
            raise ValueError(
                f"`graph.nodes[{i}]` must have a degree of 2 at most, got {node}; "
                "make the polynomials by intnn.approximation.approximate(graph, samples, degree=2)"
            )
        if not c2:
            return self._scaled(value, np.array([c1]), np.array([c0]))
        shift = c1 / (2 * c2)
        value = self._settled(self._scaled(value, np.ones(1), np.array([shift])) if shift else value)
        if np.abs(value.unit).min() < SMALLEST:
            raise ValueError(
                f"`graph.nodes[{i}]` must have fewer squares before it, got integers of more than "
                f"{-np.log2(np.abs(value.unit).min()):.0f} bits; use tables, or an approximate circuit"
            )
        squared = self._moved(IntPolynomial((0, 0, 1)), value, np.square(value.unit), value.offset)
        return replace(squared, unit=c2 * squared.unit, offset=np.full_like(squared.unit, c0 - c2 * shift**2))

    def _reshaped(self, node: Flatten | Reshape, value: Value, shape: Shape) -> Value:
        if len(shape) > 1:  # features of several units may end up in one channel
            (value,) = self._aligned([value], shared=True)
            value = self._settled(value)
            return self._moved(node, value, np.full(shape[0], value.unit[0]), np.zeros(shape[0]))
        times = shape[0] // len(value.unit)
        return self._moved(node, value, value.unit.repeat(times), value.offset.repeat(times))

    def _settled(self, value: Value) -> Value:
        """The value with its offsets in its integers, and with units that are not zero."""
        if not value.offset.any() and value.unit.all():
            return value
        constant = np.where(value.offset, np.abs(value.offset), 1.0)
        if value.unit.any():  # or the weights of others would be nothing beside those of a constant
            constant = np.minimum(constant, np.abs(value.unit).max())
        unit = np.where(value.unit, value.unit, constant)
        node = Scale((value.unit != 0).astype(np.int64), whole(value.offset / unit))
        return self._moved(node, value, unit, np.zeros(len(unit)))

    def _aligned(self, values: list[Value], shared: bool) -> list[Value]:
        """The values in one unit for every channel, or for all: layers are rounded anew, others multiplied."""
        values = [value if value.unit.all() else self._settled(value) for value in values]
        units = [np.abs(value.unit).min(keepdims=True) if shared else np.abs(value.unit) for value in values]
        free = [unit for value, unit in zip(values, units, strict=True) if value.weights is not None]
        fixed = [np.abs(value.unit) for value in values if value.weights is None]
        multiples = [unit[None] for unit in np.concatenate(fixed)] if shared and fixed else fixed
        unit = common_unit(np.array(multiples), np.array(free), self._close)
        return [self._in_unit(value, np.broadcast_to(unit, value.unit.shape)) for value in values]

    def _in_unit(self, value: Value, unit: FloatArray) -> Value:
        if np.array_equal(value.unit, unit):
            return value
        if value.weights is not None and (value.unit / unit).max() < WIDER:
            return self._rounded(value.weights, value.number, unit)
        while (far := np.abs(value.unit / unit) >= LARGEST).any():  # factors are int64; those of others stay exact
            step = Scale(np.where(far, 1 << 40, 1), np.zeros(len(far), np.int64))
            value = self._moved(step, value, value.unit / step.weight, value.offset)
        node = Scale(whole(value.unit / unit), np.zeros(len(unit), np.int64))
        return self._moved(node, value, unit, value.offset)

    def _moved(self, node: Node, value: Value, unit: FloatArray, offset: FloatArray) -> Value:
        return Value(self._emit(node, value), unit, offset, node.apply(value.integers, numpy_))

    def _joined(self, node: Join, values: list[Value], unit: FloatArray, offset: FloatArray) -> Value:
        integers = node.join([value.integers for value in values])
        return Value(self._emit(node, *values), unit, offset, integers)

    def _emit(self, node: Node | Join, *values: Value) -> int:
        self.layers.append(node)
        self.inputs.append(tuple(value.number for value in values))
        return len(self.layers) - 1


def _with_one_unit(graph: Graph) -> set[int]:
    """The nodes whose channels must share a unit: what the logits are, up to the next weighted layers before them."""
    needing = {len(graph.nodes) - 1}
    for i in reversed(range(len(graph.nodes))):
        node = graph.nodes[i]
        if (i in needing and not isinstance(node, Dense | Conv2d)) or isinstance(node, Reshape):
            needing.update(graph.sources[i])
    return needing
