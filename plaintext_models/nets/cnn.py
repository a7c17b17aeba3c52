"""Convolutional networks: with float activations, with pooling, and with one table."""

from collections.abc import Sequence

from torch import nn

from intnn.values.domain import IntDomain
from plaintext_models.nets.layers import activation as activation_layer
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.qat.bounded import LOGITS, BoundedConv2d, BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork

ImageShape = tuple[int, int, int]


def cnn(
    input_shape: ImageShape,
    classes: int,
    *,
    channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    hidden: Sequence[int] = (),
    activation: str = "relu",
) -> nn.Sequential:
    """One strided convolution, an activation, and an `mlp` on its maps.

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: Maps of the convolution.
        kernel: The side of its window.
        stride: The step of the window.
        padding: How many zeros are put on all four sides.
        hidden: The widths of the hidden linear layers.
        activation: "relu", "tanh", "sigmoid" or "square", after the convolution and every hidden layer.
    """
    convolution = nn.Conv2d(input_shape[0], channels, kernel, stride, padding)
    maps = _maps(input_shape, channels, kernel, stride, padding)
    return nn.Sequential(convolution, activation_layer(activation), *mlp(maps, classes, hidden, activation))


def pooled_cnn(
    input_shape: ImageShape, classes: int, *, channels: tuple[int, int] = (16, 32), hidden: int = 100
) -> nn.Sequential:
    """Two convolutions of 3 x 3, each with ReLU and 2 x 2 max-pooling, then an `mlp` with one hidden layer.

    Args:
        input_shape: (channels, height, width), both sides at least 10.
        classes: Number of outputs.
        channels: Maps of the first and of the second convolution.
        hidden: The width of the hidden linear layer.
    """
    layers: list[nn.Module] = []
    maps = input_shape
    for count in channels:
        convolved = _maps(maps, count, 3, 1, 0)
        layers += [nn.Conv2d(maps[0], count, 3), nn.ReLU(), nn.MaxPool2d(2)]
        maps = count, convolved[1] // 2, convolved[2] // 2
    return nn.Sequential(*layers, *mlp(maps, classes, (hidden,)))


def strided_cnn(
    input_shape: ImageShape, classes: int, *, channels: Sequence[int] = (16, 32), hidden: int = 100
) -> nn.Sequential:
    """Convolutions of 4 x 4 with ReLU, each of which halves the sides, then an `mlp` with one hidden layer.

    By default it is the small network of Wong and Kolter (arXiv:1711.00851).

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: Maps of every convolution, at least one.
        hidden: The width of the hidden linear layer.
    """
    layers: list[nn.Module] = []
    maps = input_shape
    for count in channels:
        layers += [nn.Conv2d(maps[0], count, 4, 2, 1), nn.ReLU()]
        maps = _maps(maps, count, 4, 2, 1)
    return nn.Sequential(*layers, *mlp(maps, classes, (hidden,)))


def stacked_cnn(
    input_shape: ImageShape,
    classes: int,
    *,
    channels: Sequence[int],
    hidden: int = 128,
    dropout: tuple[float, float] = (0.0, 0.0),
) -> nn.Sequential:
    """Convolutions of 3 x 3 one behind the other, one max-pooling, and an `mlp` with one hidden layer.

    With 32 and 64 maps, 128 hidden units and a dropout of 0.25 and 0.5 it is the network of Keras's example for MNIST.

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: Maps of every convolution, at least one.
        hidden: The width of the hidden linear layer.
        dropout: The share of elements that are dropped in training behind the pooling, and behind the hidden layer.
    """
    layers: list[nn.Module] = []
    maps = input_shape
    for count in channels:
        layers += [nn.Conv2d(maps[0], count, 3), nn.ReLU()]
        maps = _maps(maps, count, 3, 1, 0)
    count, height, width = maps
    first, second = dropout
    return nn.Sequential(
        *layers,
        nn.MaxPool2d(2),
        *([nn.Dropout(first)] if first else []),
        nn.Flatten(),
        nn.Linear(count * (height // 2) * (width // 2), hidden),
        nn.ReLU(),
        *([nn.Dropout(second)] if second else []),
        nn.Linear(hidden, classes),
    )


def table_cnn(
    input_shape: ImageShape,
    classes: int,
    *,
    channels: int,
    kernel: int,
    points: int,
    input_bits: int,
    stride: int = 1,
    padding: int = 0,
    levels: int = 16,
    even: bool = False,
) -> TableNetwork:
    """Convolution, table, flatten, linear: all integers, one table for all maps.

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: Maps of the convolution.
        kernel: The side of its window.
        points: Size of the table's domain, odd: the integers around zero that a window's sum may be.
        input_bits: Bits per input element.
        stride: Step of the window.
        padding: How many zeros are put on all four sides.
        levels: Number of values that the table may take.
        even: Whether the table reads the magnitude of a sum; see `TableActivation`.
    """
    quantiser, sums = InputQuantiser(input_bits), IntDomain.symmetric(points)
    maps, height, width = _maps(input_shape, channels, kernel, stride, padding)
    return TableNetwork(
        input_shape,
        quantiser,
        [
            BoundedConv2d(input_shape[0], maps, kernel, quantiser.domain.hi, sums, stride, padding),
            TableActivation(sums, levels, even),
            nn.Flatten(),
            BoundedLinear(maps * height * width, classes, levels - 1, LOGITS),
        ],
    )


def _maps(input_shape: ImageShape, channels: int, kernel: int, stride: int, padding: int) -> ImageShape:
    """Shape of the convolution's output."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in input_shape[1:])
    if min(height, width) < 1:
        raise ValueError(f"`kernel` must fit the padded image of {input_shape}, got {kernel} with padding {padding}")
    return channels, height, width
