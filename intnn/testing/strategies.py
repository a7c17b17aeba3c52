"""Hypothesis strategies for random domains, tables, layers, networks and inputs.

All are small: what they draw is proven, evaluated by plain Python integers and encrypted within a test.
"""

from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError("intnn.testing needs hypothesis: install the extra `testing` of this package") from error

from intnn.layers.intervals import propagate
from intnn.layers.nodes import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    LutActivation,
    Node,
    Requantise,
    Shape,
    SumPool2d,
)
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import FloatArray, IntArray
from intnn.values.domain import IntDomain, Interval
from intnn.values.lut import Lut

LARGEST_BIAS = 3
LARGEST_WEIGHT = 5
LARGEST_LABEL = 3  # characters of a name


def int_arrays(shape: Shape, lo: int, hi: int) -> st.SearchStrategy[IntArray]:
    """Arrays of a shape, int64, with every element in [lo, hi]."""
    return hnp.arrays(np.int64, shape, elements=st.integers(lo, hi))


def float_arrays(shape: Shape, magnitude: float = 4.0) -> st.SearchStrategy[FloatArray]:
    """Arrays of a shape, float64, with every element in [-magnitude, magnitude]."""
    return hnp.arrays(np.float64, shape, elements=st.floats(-magnitude, magnitude))


@st.composite
def domains(draw: Any, lowest: int = -3, highest: int = 5, rings: bool = True) -> IntDomain:
    """Domains of integers.

    Args:
        draw: What hypothesis hands in.
        lowest: No element is less; at most ``highest``.
        highest: No element is larger.
        rings: Whether whole rings Z_t are drawn too, where one of at least two elements fits.
    """
    largest_ring = min(-2 * lowest + 1, 2 * highest + 2)
    if rings and largest_ring >= 2 and draw(st.booleans()):
        return IntDomain.ring(draw(st.integers(2, largest_ring)))
    lo = draw(st.integers(lowest, highest))
    return IntDomain(lo, draw(st.integers(lo, highest)))


@st.composite
def luts(draw: Any, hull: IntDomain, max_table_size: int = 33) -> Lut:
    """Tables on a domain that contains ``hull``, a little larger where there is room, with values in [-8, 8].

    Args:
        draw: What hypothesis hands in.
        hull: The values that reach the table.
        max_table_size: No table has more points; at least as many as ``hull``.
    """
    room = max_table_size - hull.size
    below = draw(st.integers(0, min(2, room)))
    above = draw(st.integers(0, min(2, room - below)))
    domain = IntDomain(hull.lo - below, hull.hi + above)
    return Lut(domain, draw(int_arrays((domain.size,), -8, 8)), draw(st.text(max_size=LARGEST_LABEL)))


@st.composite
def nodes(draw: Any, x: Interval, value_bound: int = 32767, max_table_size: int = 33) -> Node:
    """Integer layers of every kind that an input within ``x`` fits.

    Args:
        draw: What hypothesis hands in.
        x: The range of every input element; its shape is that of one input.
        value_bound: No sum of a weighted layer is larger in magnitude; at least 1.
        max_table_size: No table has more points; where ``x`` has more values, no table is drawn.
    """
    shape, hull = x.lo.shape, x.hull
    kinds: list[st.SearchStrategy[Node]] = [_requantises(len(x.lo))]
    if len(shape) in (1, 3):
        kinds.append(_weighted(x, value_bound))
    if len(shape) == 3:
        sides = st.integers(1, min(2, *shape[1:]))
        kinds += [st.just(Flatten()), st.builds(SumPool2d, sides, st.integers(1, 2))]
    if hull.size <= max_table_size:
        kinds.append(st.builds(LutActivation, luts(hull, max_table_size)))
    return draw(st.one_of(kinds))


@st.composite
def int_networks(
    draw: Any,
    max_table_size: int = 33,
    max_layers: int = 3,
    dense_only: bool = False,
    value_bound: int = 32767,
    min_tables: int = 0,
) -> IntNetwork:
    """Integer networks of a few neurons, without rescaling.

    Args:
        draw: What hypothesis hands in.
        max_table_size: No table's domain has more points; at least 3.
        max_layers: At most so many weighted layers (dense or convolution), with at most one table behind each but the
            last. ``min_tables=1, max_layers=2`` gives linear, table, linear.
        dense_only: Whether convolutions, pooling and flattening are left out; the input is then a vector.
        value_bound: No value and no partial sum is larger in magnitude; at least 16.
        min_tables: At least so many tables; less than ``max_layers``.
    """
    is_image = not dense_only and draw(st.booleans())
    shape: Shape = draw(st.tuples(*(st.integers(1, n) for n in ((2, 5, 5) if is_image else (6,)))))
    lo = draw(st.integers(-3, 1))
    domain = draw(st.sampled_from([IntDomain(lo, lo + draw(st.integers(0, 4))), IntDomain.ring(5)]))
    count = draw(st.integers(min_tables + 1, max_layers))
    tables = [i < count - 1 and (i < min_tables or draw(st.booleans())) for i in range(count)]
    layers: list[Node] = []
    x = Interval.full(domain, shape)

    def append(node: Node) -> None:
        nonlocal x
        layers.append(node)
        x, _ = propagate(node, x)

    for i in range(count):
        # A table ahead wants small sums in all layers before it, else the last of them has nothing but zero weights.
        limit = (max_table_size - 1) // 2 if tables[i] else 16 if any(tables[i:]) else value_bound
        if len(x.lo.shape) == 3 and (i == count - 1 or draw(st.booleans())):
            append(Flatten())
        append(draw(_weighted(x, limit)))
        if len(x.lo.shape) == 3 and draw(st.booleans()):
            side = draw(st.integers(1, min(2, *x.lo.shape[1:])))
            pool = SumPool2d(side, draw(st.integers(1, 2)))
            if propagate(pool, x)[1] <= limit:
                append(pool)
        if tables[i]:
            append(LutActivation(draw(luts(x.hull, max_table_size))))
    scale, name = draw(st.floats(0.125, 8.0)), draw(st.text(max_size=LARGEST_LABEL))
    return IntNetwork(shape, domain, tuple(layers), scale, name, {"seed": draw(st.integers())})


def int_inputs(network: IntNetwork, max_batch: int = 3) -> st.SearchStrategy[IntArray]:
    """Batches for a network: int64 [1 to max_batch, *input_shape] of its input domain."""
    domain = network.input_domain
    return st.integers(1, max_batch).flatmap(lambda n: int_arrays((n, *network.input_shape), domain.lo, domain.hi))


@st.composite
def float_graphs(draw: Any, max_layers: int = 3) -> Graph:
    """Float graphs of a few neurons: at most ``max_layers`` weighted layers, each perhaps with an activation."""
    input_shape: Shape = draw(st.sampled_from([(5,), (1, 5, 4), (2, 3, 3)]))
    shape = input_shape
    layers: list[Node] = []

    def append(node: Node) -> None:
        nonlocal shape
        layers.append(node)
        shape = node.output_shape(shape)

    for i in range(count := draw(st.integers(1, max_layers))):
        if len(shape) == 3 and (i == count - 1 or draw(st.booleans())):
            append(Flatten())
        out = draw(st.integers(1, 4))
        bias = draw(float_arrays((out,)))
        if len(shape) == 3:
            kernel = tuple(min(2, side) for side in shape[1:])
            weight = draw(float_arrays((out, shape[0], *kernel)))
            append(Conv2d(weight, bias, draw(st.integers(1, 2)), draw(st.integers(0, 1))))
            if min(shape[1:]) >= 2 and draw(st.booleans()):
                append(SumPool2d(2))
        else:
            append(Dense(draw(float_arrays((out, *shape))), bias))
        if i < count - 1 and draw(st.booleans()):
            append(draw(activations()))
    return Graph(input_shape, tuple(layers), draw(st.text(max_size=LARGEST_LABEL)), {"origin": "strategy"})


def float_inputs(graph: Graph, batch: int = 3, magnitude: float = 4.0) -> st.SearchStrategy[FloatArray]:
    """Batches for a graph: float64 [batch, *input_shape] with every element in [-magnitude, magnitude]."""
    return float_arrays((batch, *graph.input_shape), magnitude)


def activations() -> st.SearchStrategy[Activation]:
    """Float activations of every kind; a polynomial has at most four coefficients in [-2, 2]."""
    return st.one_of(
        st.sampled_from([Activation(name) for name in ("relu", "tanh", "sigmoid", "square")]),
        st.lists(st.floats(-2, 2), min_size=1, max_size=4).map(lambda c: Activation("polynomial", tuple(c))),
    )


@st.composite
def _weighted(draw: Any, x: Interval, limit: int) -> Dense | Conv2d:
    """A layer on inputs in ``x`` whose sums of absolute terms are at most ``limit``."""
    shape, out = x.lo.shape, draw(st.integers(1, 4))
    if len(shape) == 3:
        sides = [draw(st.integers(1, min(3, side))) for side in shape[1:]]
        weight = draw(int_arrays((out, shape[0], *sides), -LARGEST_WEIGHT, LARGEST_WEIGHT))
    else:
        weight = draw(int_arrays((out, *shape), -LARGEST_WEIGHT, LARGEST_WEIGHT))
    bias = draw(int_arrays((out,), -LARGEST_BIAS, LARGEST_BIAS))
    rows = weight.reshape(out, -1)
    worst = np.abs(rows).sum(axis=1) * x.hull.magnitude + np.abs(bias)
    shrink = np.maximum(worst, limit)[:, None]  # toward zero, so that the sum keeps to the limit
    rows = np.sign(rows) * (np.abs(rows) * limit // shrink)
    bias = np.sign(bias) * (np.abs(bias) * limit // shrink[:, 0])
    if len(shape) == 3:
        return Conv2d(rows.reshape(weight.shape), bias, draw(st.integers(1, 2)), draw(st.integers(0, 2)))
    return Dense(rows, bias)


@st.composite
def _requantises(draw: Any, channels: int) -> Requantise:
    """A rescaling with one multiplier, or one for each channel."""
    multiplier = draw(int_arrays((draw(st.sampled_from([1, channels])),), -64, 64))
    lo = draw(st.integers(-128, 0))
    return Requantise(multiplier, draw(st.integers(0, 8)), IntDomain(lo, draw(st.integers(lo, 255))))
