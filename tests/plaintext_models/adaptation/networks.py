"""Random float graphs with branches, and small samples for them."""

import numpy as np
from hypothesis import strategies as st

from intnn.layers.nodes import (
    Activation,
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Reshape,
    Scale,
    SumPool2d,
)
from intnn.network.graph import Graph

SEEDS = st.integers(0, 2**32 - 1)
FLOAT_ACTIVATIONS = (
    Activation("relu"),
    Activation("leaky_relu", (0.1,)),
    Activation("elu", (0.7,)),
    Activation("gelu"),
    Activation("gelu_tanh"),
    Activation("silu"),
    Activation("softplus"),
    Activation("mish"),
    Activation("softsign"),
    Activation("tanh"),
    Activation("sigmoid"),
    Activation("hardtanh", (-0.5, 0.8)),
    Activation("hardsigmoid"),
    Activation("hardswish"),
    Activation("square"),
    Activation("polynomial", (0.1, 0.5, 0.3, -0.1)),
)
SQUARES = (Activation("square"),)


class Builder:
    """Nodes one after another, each of which knows its shape."""

    def __init__(self, rng, shape):
        self.rng, self.input_shape = rng, shape
        self.nodes, self.inputs, self.shapes = [], [], {-1: shape}

    def put(self, node, *read):
        read = read or (len(self.nodes) - 1,)
        shapes = [self.shapes[number] for number in read]
        self.nodes.append(node)
        self.inputs.append(read)
        last = len(self.nodes) - 1
        joins = isinstance(node, Add | Concatenate)
        self.shapes[last] = node.joined_shape(shapes) if joins else node.output_shape(shapes[0])
        return last

    @property
    def shape(self):
        return self.shapes[len(self.nodes) - 1]

    def normal(self, *shape):
        return self.rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))

    def convolution(self, outputs, kernel, **geometry):
        groups = geometry.get("groups", 1)
        weight = self.normal(outputs, self.shape[0] // groups, *kernel)
        return self.put(Conv2d(weight, self.normal(outputs), **geometry))

    def dense(self, outputs):
        return self.put(Dense(self.normal(outputs, *self.shape), self.normal(outputs)))

    def graph(self):
        return Graph(self.input_shape, tuple(self.nodes), "random", {"classes": ["a", "b"]}, tuple(self.inputs))


@st.composite
def graphs(draw, activations=SQUARES, maxima=False):
    """Convolutions of any geometry, a residual block, a concatenation, pools, and dense layers at the end."""
    rng = np.random.default_rng(draw(SEEDS))
    builder = Builder(rng, (draw(st.sampled_from([2, 4])), 7, 6))
    activation = st.sampled_from(activations)
    if draw(st.booleans()):
        geometry = {
            "stride": draw(st.sampled_from([1, (1, 2)])),
            "padding": draw(st.sampled_from([0, 1, (0, 1, 2, 0)])),
            "dilation": draw(st.sampled_from([1, (2, 1)])),
            "groups": draw(st.sampled_from([1, 2])),
        }
        builder.convolution(4, (2, 3), **geometry)
        builder.put(draw(activation))
    if draw(st.booleans()):
        skip = len(builder.nodes) - 1
        builder.convolution(builder.shapes[skip][0], (3, 3), padding=1)
        builder.put(draw(activation))
        builder.put(draw(st.sampled_from([Add(), Concatenate()])), skip, len(builder.nodes) - 1)
        builder.put(Scale(rng.normal(size=builder.shape[0]), rng.normal(size=builder.shape[0])))
    if draw(st.booleans()):
        pools = [SumPool2d(2), SumPool2d((2, 1), 1, (0, 1, 0, 0))] + [MaxPool2d(2, 1, 1)] * maxima
        builder.put(draw(st.sampled_from(pools)))
    builder.put(draw(st.sampled_from([Flatten(), Reshape((int(np.prod(builder.shape or builder.input_shape)),))])))
    if draw(st.booleans()):
        builder.dense(5)
        builder.put(draw(activation))
    builder.dense(3)
    if draw(st.booleans()):
        builder.put(Scale(np.array([0.5, -2.0, 0.0]), np.array([0.0, 1.0, 2.0])))
    return builder.graph()


def samples(graph, count=12, seed=0, signed=False):
    """Floats in [0, 1], or in [-1, 1]."""
    x = np.random.default_rng(seed).uniform(-1.0 if signed else 0.0, 1.0, (count, *graph.input_shape))
    return x.astype(np.float32)
