"""The plan of a network to be trained: geometry, exponents and the proof that no sum overflows.

Every value of a step is an integer times a power of two. Weights, inputs and activations have exponents that never
change, so that a trained network is an `IntNetwork`; errors share one exponent per layer and batch, taken from the
largest magnitude (block exponents, as in Wang et al., "NITI: Training Integer Neural Networks Using Integer-Only
Arithmetic", IEEE TPDS 2022).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from intnn.layers.nodes import Shape
from intnn.training.limits import BIAS_BITS, ERROR_LIMIT, RATE_BITS
from intnn.training.tables import (
    ACTIVATION_EXPONENT,
    BYTES,
    LOGIT_EXPONENT,
    TableActivation,
    activation,
)
from intnn.values.arrays import INT64, integer
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject

INT31 = 1 << 31


@dataclass(frozen=True)
class Hidden(ValueObject):
    """A dense layer with an activation.

    Attributes:
        units: The number of neurons, from 1.
        activation: "relu", "tanh", "identity", or a `TableActivation` of one's own.

    Raises:
        TypeError: ``units`` is no integer.
        ValueError: ``units`` is out of range, or there is no such activation.
    """

    units: int
    activation: str | TableActivation = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", integer(self.units, "units", 1))
        _tables(self.activation)


@dataclass(frozen=True)
class Convolution(ValueObject):
    """A convolution with an activation, and average pooling after it.

    Attributes:
        channels: The number of output channels, from 1.
        size: The side of the kernel, from 1 to 65536.
        stride: The step of the kernel, from 1 to 65536.
        padding: The number of zeros on all four sides, from 0 to 65536.
        pool: The side and step of the pooling window, from 1, for no pooling, to 16.
        activation: "relu", "tanh", "identity", or a `TableActivation` of one's own.

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is out of range, or there is no such activation. Whether the layer fits its input shows
            when a network is laid out.
    """

    channels: int
    size: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    activation: str | TableActivation = "relu"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("channels", 1, int(INT64.max)),
            ("size", 1, 1 << 16),
            ("stride", 1, 1 << 16),
            ("padding", 0, 1 << 16),
            ("pool", 1, 16),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
        _tables(self.activation)


@dataclass(frozen=True)
class Block(ValueObject):
    """One linear map and, in all but the last block, an activation and pooling.

    A dense layer is a convolution whose kernel covers the whole image. Images have their channels last here.

    Attributes:
        height: The height of the input.
        width: The width of the input.
        channels: The channels of the input.
        window: The height and width of the kernel.
        stride: The step of the kernel.
        padding: The number of zeros around the input.
        pool: The side of the pooling window.
        outputs: The channels of the output.
        inputs: The integers that an input may be, within a byte.
        input_exponent: An input q stands for q * 2**-input_exponent.
        weight_exponent: A weight q stands for q * 2**-weight_exponent.
        weight_bits: The bits of a weight, its sign included, in [2, 8].
        activation: The tables of the activation; None for the last block, whose sums are logits.

    Raises:
        ValueError: The kernel or pooling window does not fit, or sums could reach 2**31.
    """

    height: int
    width: int
    channels: int
    window: tuple[int, int]
    stride: int
    padding: int
    pool: int
    outputs: int
    inputs: IntDomain
    input_exponent: int
    weight_exponent: int
    weight_bits: int
    activation: TableActivation | None

    def __post_init__(self) -> None:
        sides = (self.height + 2 * self.padding, self.width + 2 * self.padding)
        if any(side < size for side, size in zip(sides, self.window, strict=True)):
            raise ValueError(f"the kernel {self.window} must fit into the padded image {sides}")
        if min(self.rows, self.cols) < self.pool:
            raise ValueError(f"the pooling window {self.pool} must fit into {self.rows} x {self.cols}")
        forward = self.fan_in * self.weight_limit * self.inputs.magnitude + (1 << BIAS_BITS)
        backward = math.prod(self.window) * self.outputs * ERROR_LIMIT * self.weight_limit
        if max(forward, backward) >= INT31:
            raise ValueError(f"sums must stay below 2**31, got up to {max(forward, backward)}; use a smaller layer")

    @property
    def fan_in(self) -> int:
        """The number of inputs of one output."""
        return math.prod(self.window) * self.channels

    @property
    def rows(self) -> int:
        """The height of the output before pooling."""
        return (self.height + 2 * self.padding - self.window[0]) // self.stride + 1

    @property
    def cols(self) -> int:
        """The width of the output before pooling."""
        return (self.width + 2 * self.padding - self.window[1]) // self.stride + 1

    @property
    def output_shape(self) -> Shape:
        """The shape (height, width, channels) after pooling."""
        return (self.rows // self.pool, self.cols // self.pool, self.outputs)

    @property
    def is_dense(self) -> bool:
        """Whether the kernel sees the whole image at once, and nothing beyond it."""
        return (self.height, self.width) == self.window and not self.padding and self.pool == 1

    @property
    def weight_limit(self) -> int:
        """The largest magnitude of a weight."""
        return (1 << self.weight_bits - 1) - 1

    @property
    def fraction(self) -> int:
        """The bits that a master weight has beyond the weight: weight_limit << fraction stays below 2**30."""
        return 31 - self.weight_bits

    @property
    def sum_exponent(self) -> int:
        """The exponent of the linear map's sums."""
        return self.input_exponent + self.weight_exponent

    @property
    def shift(self) -> int:
        """The shift from the sums to pre-activations or, in the last block, to the softmax's logits."""
        return self.sum_exponent - (LOGIT_EXPONENT if self.activation is None else ACTIVATION_EXPONENT)

    @property
    def pool_shift(self) -> int:
        """The shift of pooled sums: they are divided by the window's area, rounded up to a power of two."""
        return (self.pool**2 - 1).bit_length()

    @property
    def master_exponent(self) -> int:
        """The exponent of master weights and their velocities."""
        return self.weight_exponent + self.fraction

    @property
    def bias_exponent(self) -> int:
        """The exponent of master biases and their velocities: three less, since biases have no limit of one byte."""
        return self.master_exponent - 3

    @property
    def bias_shift(self) -> int:
        """The shift from master biases to the sums."""
        return self.bias_exponent - self.sum_exponent

    @property
    def largest_batch(self) -> int:
        """The most examples of a batch whose gradients stay below 2**31."""
        return (INT31 - 1) // (self.rows * self.cols * ERROR_LIMIT * max(self.inputs.magnitude, 1))

    def gradient_shifts(self, batch: int) -> tuple[int, int]:
        """The bits to drop from weight and bias gradients, so that a gradient times a rate's mantissa is at most 2**30.

        Raises:
            ValueError: A gradient could reach 2**31.
        """
        if batch > self.largest_batch:
            raise ValueError(
                f"`batch_size` must be at most {self.largest_batch} so that gradients stay below 2**31, got {batch}"
            )
        terms = batch * self.rows * self.cols * ERROR_LIMIT
        bound = terms * max(self.inputs.magnitude, 1)
        weights, bias = (max(0, b.bit_length() + RATE_BITS - 30) for b in (bound, terms))
        return weights, bias


@dataclass(frozen=True)
class Plan(ValueObject):
    """A chain of blocks that fit each other.

    Attributes:
        input_shape: (features,) or (channels, height, width), as in `IntNetwork`.
        blocks: At least one block; the last one has no activation and one output per class.
    """

    input_shape: Shape
    blocks: tuple[Block, ...]

    @cached_property
    def classes(self) -> int:
        """The number of outputs, one for each class."""
        return self.blocks[-1].outputs

    @property
    def largest_batch(self) -> int:
        """The most examples of a batch whose gradients stay below 2**31 in every block."""
        return min(block.largest_batch for block in self.blocks)

    @property
    def inputs(self) -> IntDomain:
        """The integers that an input element may be."""
        return self.blocks[0].inputs


def plan(
    layers: Sequence[int | Hidden | Convolution],
    input_shape: Shape,
    inputs: IntDomain,
    classes: int,
    weight_bits: int = 8,
) -> Plan:
    """Lay out a network.

    Args:
        layers: The hidden layers; a number n is short for ``Hidden(n)``. The output layer is added.
        input_shape: The shape of one input, (features,) or (channels, height, width).
        inputs: The integers that an input element may be, inside [0, 255] or [-128, 127].
        classes: The number of classes, at least 2.
        weight_bits: The bits of a weight, its sign included, from 2 (ternary) to 8.

    Raises:
        TypeError: ``layers`` or ``input_shape`` is no sequence, a layer is of another type, or a size is no integer.
        ValueError: A size is out of range, a layer does not fit, or sums could overflow; the message names the layer.
    """
    _require_sequence(layers, "layers", "hidden layers such as (64, 32)")
    _require_sequence(input_shape, "input_shape", "sides such as (64,) or (1, 8, 8)")
    integer(classes, "classes", low=2)
    bits = integer(weight_bits, "weight_bits", 2, 8)
    if not any(byte.issuperset(inputs) for byte in BYTES):
        raise ValueError(f"`inputs` must lie in [0, 255] or [-128, 127], got {inputs}")
    shape = tuple(integer(side, "input_shape", low=1) for side in input_shape)
    if len(shape) not in (1, 3):
        raise ValueError(f"`input_shape` must be (features,) or (channels, height, width), got {shape}")
    channels_last = (1, 1, *shape) if len(shape) == 1 else (*shape[1:], shape[0])
    exponent = max(inputs.magnitude - 1, 0).bit_length()
    blocks: list[Block] = []
    for i, layer in enumerate((*layers, None)):
        try:
            block = _block(layer, channels_last, inputs, exponent, classes, bits)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"`layers[{i}]`: {error}" if layer is not None else f"the output layer: {error}"
            ) from None
        blocks.append(block)
        channels_last, exponent = block.output_shape, ACTIVATION_EXPONENT
        if block.activation is not None:
            inputs = block.activation.codomain
    return Plan(shape, tuple(blocks))


def _require_sequence(value: object, name: str, what: str) -> None:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise TypeError(f"`{name}` must be a sequence of {what}, got {value!r}")


def _block(
    layer: int | Hidden | Convolution | None, shape: Shape, inputs: IntDomain, exponent: int, classes: int, bits: int
) -> Block:
    height, width, channels = shape
    window, stride, padding, pool = (height, width), 1, 0, 1
    tables: TableActivation | None = None
    match layer:
        case None:
            outputs = classes
        case Convolution():
            outputs, window = layer.channels, (layer.size, layer.size)
            stride, padding, pool, tables = layer.stride, layer.padding, layer.pool, _tables(layer.activation)
        case Hidden():
            outputs, tables = layer.units, _tables(layer.activation)
        case _:
            outputs, tables = integer(layer, "units", 1), activation("relu")
    fan_in = math.prod(window) * channels
    weight_exponent = _weight_exponent(fan_in, bits, 1 if tables is None else 2)
    return Block(
        height, width, channels, window, stride, padding, pool, outputs, inputs, exponent, weight_exponent, bits, tables
    )  # fmt: skip


def _tables(chosen: str | TableActivation) -> TableActivation:
    return chosen if isinstance(chosen, TableActivation) else activation(chosen)


def _weight_exponent(fan_in: int, bits: int, gain: int) -> int:
    """The finest unit with which 1.5 * bits standard deviations of He's initialisation fit into the weights' range.

    That is the largest t with 1.5 bits sqrt(gain / fan_in) 2**t <= 2**(bits - 1).
    """
    t = 0
    while 9 * bits**2 * gain * 4 ** (t + 1) <= fan_in * 4**bits:
        t += 1
    return t
