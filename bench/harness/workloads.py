"""Networks to time: one set of float parameters, for the others, and its integer network, for ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from intnn import Conv2d, Dense, Flatten, IntDomain, IntNetwork, Lut, LutActivation, Requantise, SumPool2d
from intnn.layers.nodes import Node
from intnn.ops import backend
from intnn.training.plan import Convolution
from intnn.values.rounding import round_half_up

BYTE = IntDomain(-128, 127)
MULTIPLIER_BITS = 15
LARGEST_SHIFT = 22  # a byte times 2**22 leaves room in 32 bits, where rescaling is fastest


@dataclass(frozen=True, eq=False)
class Affine:
    """A dense layer or a convolution of a float network, then 2 x 2 average pooling and max(x, 0).

    Attributes:
        weight: float32 [out, in] or [out, in, kh, kw].
        bias: float32 [out].
        pools: Whether averages of 2 x 2 follow it.
        rectifies: Whether max(x, 0) follows in the end.
    """

    weight: np.ndarray
    bias: np.ndarray
    pools: bool = False
    rectifies: bool = True


@dataclass(frozen=True, eq=False)
class Workload:
    """A network in both forms.

    Attributes:
        name: The network in short, for the table: "MLP 784-128-64-10".
        maps: The float network; images are flattened before the first dense layer.
        network: The integer network; its input is 255 times the float network's.
        products: The number of multiplications for one input, by the network's definition.
    """

    name: str
    maps: tuple[Affine, ...]
    network: IntNetwork
    products: int

    def inputs(self, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Random uint8 [batch, *input_shape]."""
        return rng.integers(0, 256, (batch, *self.network.input_shape), np.uint8)


@dataclass(frozen=True)
class Shape:
    """The shape of a workload.

    Attributes:
        title: The network in short, for the table.
        input_shape: The shape of one input.
        weights: The shapes of the weights of its affine maps: [out, in] or [out, in, kh, kw].
        hidden: The hidden layers of the same network for `intnn.training.plan`; None where no training is timed.
    """

    title: str
    input_shape: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]
    hidden: tuple[int | Convolution, ...] | None = None


#: What can be timed, by the name that the command line has for it.
WORKLOADS: Mapping[str, Shape] = MappingProxyType(
    {
        "mlp": Shape("MLP 784-128-64-10", (784,), ((128, 784), (64, 128), (10, 64)), (128, 64)),
        "cnn": Shape(
            "CNN 8c5-p-16c5-p-64-10",
            (1, 28, 28),
            ((8, 1, 5, 5), (16, 8, 5, 5), (64, 256), (10, 64)),
            (Convolution(8, 5, pool=2), Convolution(16, 5, pool=2), 64),
        ),
        "gemm": Shape("GEMM 1024x1024", (1024,), ((1024, 1024),)),
    }
)


def trained_networks() -> tuple[str, ...]:
    """The names of the workloads whose training can be timed."""
    return tuple(name for name, shape in WORKLOADS.items() if shape.hidden is not None)


def workload(name: str, rng: np.random.Generator) -> Workload:
    """A key of WORKLOADS with random parameters."""
    shape = WORKLOADS[name]
    maps = []
    for i, size in enumerate(shape.weights):
        spread = np.sqrt(2 / np.prod(size[1:]))
        maps.append(
            Affine(
                rng.normal(0, spread, size).astype(np.float32),
                rng.normal(0, 0.1, size[0]).astype(np.float32),
                pools=len(size) == 4,
                rectifies=i < len(shape.weights) - 1 or len(shape.weights) == 1,
            )
        )
    samples = rng.random((64, *shape.input_shape))
    return _quantised(shape.title, shape.input_shape, tuple(maps), samples)


def _quantised(name: str, shape: tuple[int, ...], maps: tuple[Affine, ...], samples: np.ndarray) -> Workload:
    """Weights are scaled by their largest magnitude per channel, activations by theirs on samples."""
    scale, x, products = 255.0, samples, 0
    nodes: list[Node] = []
    relu = LutActivation(Lut.from_callable(lambda v: max(v, 0), BYTE, name="relu"))
    for affine in maps:
        axes = tuple(range(1, affine.weight.ndim))
        units = 127 / np.abs(affine.weight).max(axis=axes)
        weight = round_half_up(affine.weight.astype(float) * np.expand_dims(units, axes))
        bias = round_half_up(affine.bias * units * scale)
        node: Dense | Conv2d
        float_node: Dense | Conv2d
        if affine.weight.ndim == 4:
            node, float_node = Conv2d(weight, bias), Conv2d(affine.weight, affine.bias)
        else:
            if x.ndim == 4:
                nodes.append(Flatten())
                x = x.reshape(len(x), -1)
            node, float_node = Dense(weight, bias), Dense(affine.weight, affine.bias)
        nodes.append(node)
        x = float_node.apply(x, backend("numpy"))
        products += affine.weight[0].size * x[0].size
        if affine.pools:
            nodes.append(SumPool2d(2))
            x = SumPool2d(2).apply(x, backend("numpy")) / 4
            units = units * 4
        if affine.rectifies:
            following = 127 / np.abs(x).max()
            factors = following / (scale * units)
            shift = min(MULTIPLIER_BITS - 1 - int(np.floor(np.log2(factors.max()))), LARGEST_SHIFT)
            nodes += [Requantise(round_half_up(factors * 2.0**shift), shift, BYTE), relu]
            x, scale = np.maximum(x, 0), following
    return Workload(name, maps, IntNetwork(shape, IntDomain(0, 255), tuple(nodes), 255.0, name), products)
