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
LARGEST_WEIGHTS = (5, 127, 1 << 13, 1 << 26, 1 << 40)  # sums fit int16, int32, float32, float64, or only int64
LARGEST_MULTIPLIER = 1 << 20
LARGEST_LABEL = 3  # characters of a name


def int_arrays(shape: Shape, lo: int, hi: int) -> st.SearchStrategy[IntArray]:
    """Arrays of a shape, int64, with every element in [lo, hi]: mostly one value, or all values alike."""

    def uniform(seed: int) -> IntArray:
        return np.random.default_rng(seed).integers(lo, hi, shape, endpoint=True)

    return hnp.arrays(np.int64, shape, elements=st.integers(lo, hi)) | st.integers(0, 2**32 - 1).map(uniform)


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
    kinds: list[st.SearchStrategy[Node]] = [_requantises(x, 1 << 60, 128)]
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
    value_bound: int = 1 << 60,
    min_tables: int = 0,
    rescale: bool = True,
) -> IntNetwork:
    """Integer networks of a few neurons, with layers of every kind and sums of every size.

    Networks that shall be encrypted have ``value_bound=32767, rescale=False``.

    Args:
        draw: What hypothesis hands in.
        max_table_size: No table's domain has more points; at least 3.
        max_layers: At most so many weighted layers (dense or convolution), with at most one table behind each but the
            last. ``min_tables=1, max_layers=2, dense_only=True`` gives linear, table, linear.
        dense_only: Whether there are dense layers and tables alone; the input is then a vector.
        value_bound: No value and no partial sum is larger in magnitude; at least 16.
        min_tables: At least so many tables; less than ``max_layers``.
        rescale: Whether there are rescalings, before tables and elsewhere.
    """
    is_image = not dense_only and draw(st.sampled_from([False, True, True, True]))
    shape: Shape = draw(st.tuples(*(st.sampled_from(range(n, 0, -1)) for n in ((2, 5, 5) if is_image else (6,)))))
    lo = draw(st.integers(-3, 1))
    domain = draw(st.sampled_from([IntDomain(lo, lo + draw(st.sampled_from([4, 3, 2, 1, 0]))), IntDomain.ring(5)]))
    count = draw(st.integers(min_tables + 1, max_layers))
    tables = [i < count - 1 and (i < min_tables or draw(st.booleans())) for i in range(count)]
    rescalings = [rescale and not dense_only and draw(st.booleans()) for _ in range(count)]
    layers: list[Node] = []
    x = Interval.full(domain, shape)

    def append(node: Node) -> None:
        nonlocal x
        layers.append(node)
        x, _ = propagate(node, x)

    for i in range(count):
        # A table ahead wants small sums in all layers before it, unless a rescaling stands between.
        room = (max_table_size - 1) // 2 if tables[i] else 16 if any(tables[i:]) else value_bound
        limit = max(value_bound // 256, 16) if rescalings[i] else room
        if len(x.lo.shape) == 3 and draw(st.sampled_from([False, False, False, True])):
            append(Flatten())
        size = draw(st.sampled_from([0, 1, 2, 2])) if len(x.lo.shape) == 3 else 0
        area = max(size, 1) ** 2
        if limit // area < x.hull.magnitude:  # pooling would leave nothing but zero weights
            size, area = 0, 1
        append(draw(_weighted(x, limit // area)))
        if size and min(x.lo.shape[1:]) >= size:
            append(SumPool2d(size, draw(st.integers(1, 2))))
        if rescalings[i]:
            append(draw(_requantises(x, value_bound, min(room, 128))))
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
    """A layer on inputs in ``x`` whose sums of absolute terms are at most ``limit``.

    In every row, weights in a random order are kept while the limit lasts; what is left of it cuts the next one.
    """
    shape, out = x.lo.shape, draw(st.integers(1, 4))
    largest = draw(st.sampled_from(LARGEST_WEIGHTS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sides = [draw(st.integers(1, min(3, side))) for side in shape[1:]]
    rows = rng.integers(-largest, largest + 1, (out, shape[0] * int(np.prod(sides)))).astype(object)
    allowed = limit // max(x.hull.magnitude, 1)  # the largest sum of a row's magnitudes
    for row in rows:
        left = allowed
        for i in rng.permutation(len(row)):
            kept = min(abs(row[i]), left)
            row[i] = kept if row[i] > 0 else -kept
            left -= kept
    spare = min(LARGEST_BIAS, limit - int(np.abs(rows).sum(axis=1).max()) * x.hull.magnitude)
    weight, bias = rows.astype(np.int64), rng.integers(-spare, spare + 1, out)
    if len(shape) == 3:
        weight = weight.reshape(out, shape[0], *sides)
        return Conv2d(weight, bias, draw(st.integers(1, 2)), draw(st.integers(0, 2)))
    return Dense(weight, bias)


@st.composite
def _requantises(draw: Any, x: Interval, limit: int, room: int) -> Requantise:
    """A rescaling with one multiplier, or one for each channel.

    No product and no half of the divisor is larger than ``limit``, together with ``x``, and no result than ``room``.
    Most results differ from each other; some saturate.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    largest = min(draw(st.sampled_from([64, LARGEST_MULTIPLIER])), limit // 2 // max(x.hull.magnitude, 1))
    multiplier = rng.integers(-largest, largest + 1, draw(st.sampled_from([1, len(x.lo)])))
    bits = min((largest * x.hull.magnitude).bit_length(), limit.bit_length() - 1)
    finest = max(0, bits - room.bit_length() - 1)
    shift = draw(st.integers(finest, min(bits, finest + 3)))
    lo = draw(st.sampled_from([-room, -room // 2, 0]))
    return Requantise(multiplier, shift, IntDomain(lo, draw(st.sampled_from([room, room // 2, 0]))))
