"""Hypothesis strategies for random networks, small enough to be proven, evaluated and encrypted in a test."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    Interval,
    IntNetwork,
    Lut,
    LutActivation,
    SumPool2d,
)
from intnn.layers.intervals import propagate
from intnn.layers.nodes import Node, Shape

LARGEST_BIAS = 3


def int_arrays(shape: Shape, lo: int, hi: int) -> st.SearchStrategy[np.ndarray]:
    """int64 arrays of a shape with every element in [lo, hi]."""
    return hnp.arrays(np.int64, shape, elements=st.integers(lo, hi))


@st.composite
def int_networks(
    draw: Any,
    max_table_size: int = 33,
    max_layers: int = 3,
    dense_only: bool = False,
    value_bound: int = 32767,
    min_tables: int = 0,
) -> IntNetwork:
    """Integer networks of a few neurons.

    Args:
        draw: Hypothesis's own.
        max_table_size: No table's domain has more points; at least 3.
        max_layers: At most so many weighted layers (dense or convolution), with at most one table behind each but the
            last. ``min_tables=1, max_layers=2`` gives linear, table, linear.
        dense_only: No convolution, pooling or flattening; the input is a vector.
        value_bound: No value and no partial sum is larger in magnitude; at least 16.
        min_tables: At least so many tables; less than ``max_layers``.
    """
    is_image = not dense_only and draw(st.booleans())
    shape: Shape = draw(st.tuples(*(st.integers(1, n) for n in ((2, 5, 5) if is_image else (6,)))))
    lo = draw(st.integers(-3, 1))
    domain = draw(st.sampled_from([IntDomain(lo, lo + draw(st.integers(0, 4))), IntDomain.ring(5)]))
    count = draw(st.integers(min_tables + 1, max_layers))
    tables = [i < count - 1 and (i < min_tables or draw(st.booleans())) for i in range(count)]
    x, layers = Interval.full(domain, shape), []

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
    scale = draw(st.floats(0.125, 8.0))
    return IntNetwork(shape, domain, tuple(layers), scale, draw(st.text(max_size=3)), {"seed": draw(st.integers())})


@st.composite
def _weighted(draw: Any, x: Interval, limit: int) -> Dense | Conv2d:
    """A layer on inputs in ``x`` whose sums of absolute terms are at most ``limit``."""
    shape, out = x.lo.shape, draw(st.integers(1, 4))
    if len(shape) == 3:
        sides = [draw(st.integers(1, min(3, side))) for side in shape[1:]]
        weight = draw(int_arrays((out, shape[0], *sides), -5, 5))
    else:
        weight = draw(int_arrays((out, *shape), -5, 5))
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
def luts(draw: Any, hull: IntDomain, max_table_size: int = 33) -> Lut:
    """Tables with values in [-8, 8] on a domain that contains ``hull``, a little larger where there is room."""
    room = max_table_size - hull.size
    below = draw(st.integers(0, min(2, room)))
    above = draw(st.integers(0, min(2, room - below)))
    domain = IntDomain(hull.lo - below, hull.hi + above)
    return Lut(domain, draw(int_arrays((domain.size,), -8, 8)), draw(st.text(max_size=3)))


def int_inputs(network: IntNetwork, max_batch: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Batches [1..max_batch, *input_shape] of a network's input domain, int64."""
    domain = network.input_domain
    return st.integers(1, max_batch).flatmap(lambda n: int_arrays((n, *network.input_shape), domain.lo, domain.hi))


def float_arrays(shape: Shape, magnitude: float = 4.0) -> st.SearchStrategy[np.ndarray]:
    """float64 arrays of a shape with every element in [-magnitude, magnitude]."""
    return hnp.arrays(np.float64, shape, elements=st.floats(-magnitude, magnitude))


@st.composite
def float_graphs(draw: Any, max_layers: int = 3) -> Graph:
    """Float graphs of a few neurons: convolutions, pooling and dense layers, each perhaps with an activation."""
    input_shape: Shape = draw(st.sampled_from([(5,), (1, 5, 4), (2, 3, 3)]))
    shape = input_shape
    nodes: list[Node] = []

    def append(node: Node) -> None:
        nonlocal shape
        nodes.append(node)
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
    return Graph(input_shape, tuple(nodes), draw(st.text(max_size=3)), {"origin": "strategy"})


def activations() -> st.SearchStrategy[Activation]:
    """Any float activation."""
    return st.one_of(
        st.sampled_from([Activation(name) for name in ("relu", "tanh", "sigmoid", "square")]),
        st.lists(st.floats(-2, 2), min_size=1, max_size=4).map(lambda c: Activation("polynomial", tuple(c))),
    )
