"""Networks to time: one set of float parameters, for the others, and its integer network, for ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intnn import Conv2d, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation, Requantise, SumPool2d
from intnn.layers.nodes import Node
from intnn.ops import kernels
from intnn.values.rounding import round_half_up

BYTE = IntDomain(-128, 127)
MULTIPLIER_BITS = 15
LARGEST_SHIFT = 22  # a byte times 2**22 leaves room in 32 bits, where rescaling is fastest


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer or convolution, 2 x 2 average pooling, and max(x, 0).

    Attributes:
        weight: float32 [out, in] or [out, in, kh, kw].
        bias: float32 [out].
        pools: Whether averages of 2 x 2 follow.
        rectifies: Whether max(x, 0) follows that.
    """

    weight: np.ndarray
    bias: np.ndarray
    pools: bool = False
    rectifies: bool = True


@dataclass(frozen=True, eq=False)
class Work:
    """A network in both forms.

    Attributes:
        name: For the table.
        layers: Of the float network; images are flattened before the first dense layer.
        network: The integer network; its input is 255 times the float network's.
        products: Multiplications for one input, by the network's definition.
    """

    name: str
    layers: tuple[Layer, ...]
    network: IntNetwork
    products: int

    def inputs(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Random uint8 [batch, *input_shape]."""
        return rng.integers(0, 256, (batch, *self.network.input_shape), np.uint8)


SHAPES: dict[str, tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]] = {
    "MLP 784-128-64-10": ((784,), ((128, 784), (64, 128), (10, 64))),
    "CNN 8c5-p-16c5-p-64-10": ((1, 28, 28), ((8, 1, 5, 5), (16, 8, 5, 5), (64, 256), (10, 64))),
    "GEMM 1024x1024": ((1024,), ((1024, 1024),)),
}


def works(names: tuple[str, ...], rng: np.random.Generator) -> Iterator[Work]:
    """Networks with random parameters; names are the keys of SHAPES."""
    for name in names:
        shape, weights = SHAPES[name]
        layers = []
        for i, size in enumerate(weights):
            spread = np.sqrt(2 / np.prod(size[1:]))
            layers.append(
                Layer(
                    rng.normal(0, spread, size).astype(np.float32),
                    rng.normal(0, 0.1, size[0]).astype(np.float32),
                    pools=len(size) == 4,
                    rectifies=i < len(weights) - 1 or len(weights) == 1,
                )
            )
        samples = rng.random((64, *shape))
        yield _quantised(name, shape, tuple(layers), samples)


def _quantised(name: str, shape: tuple[int, ...], layers: tuple[Layer, ...], samples: np.ndarray) -> Work:
    """Weights by their largest magnitude per channel, activations by theirs on samples."""
    scale, x, products = 255.0, samples, 0
    nodes: list[Node] = []
    relu = LutActivation(Lut.from_callable(lambda v: max(v, 0), BYTE, name="relu"))
    for layer in layers:
        axes = tuple(range(1, layer.weight.ndim))
        units = 127 / np.abs(layer.weight).max(axis=axes)
        weight = round_half_up(layer.weight.astype(float) * np.expand_dims(units, axes))
        bias = round_half_up(layer.bias * units * scale)
        node: Dense | Conv2d
        float_node: Dense | Conv2d
        if layer.weight.ndim == 4:
            node, float_node = Conv2d(weight, bias), Conv2d(layer.weight, layer.bias)
        else:
            if x.ndim == 4:
                nodes.append(Flatten())
                x = x.reshape(len(x), -1)
            node, float_node = Dense(weight, bias), Dense(layer.weight, layer.bias)
        nodes.append(node)
        x = float_node.apply(x, kernels("numpy"))
        products += layer.weight[0].size * x[0].size
        if layer.pools:
            nodes.append(SumPool2d(2))
            x = SumPool2d(2).apply(x, kernels("numpy")) / 4
            units = units * 4
        if layer.rectifies:
            following = 127 / np.abs(x).max()
            factors = following / (scale * units)
            shift = min(MULTIPLIER_BITS - 1 - int(np.floor(np.log2(factors.max()))), LARGEST_SHIFT)
            nodes += [Requantise(round_half_up(factors * 2.0**shift), shift, BYTE), relu]
            x, scale = np.maximum(x, 0), following
    return Work(name, layers, IntNetwork(shape, IntDomain(0, 255), tuple(nodes), 255.0, name), products)
