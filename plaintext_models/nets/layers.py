"""The layers that torch lacks, and activations by name."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn


class Square(nn.Module):
    """x -> x^2, elementwise: the activation of CryptoNets (Gilad-Bachrach et al., ICML 2016, section 3.1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Square every element of a tensor of any shape."""
        return torch.square(x)


class SumPool2d(nn.Module):
    """The sum of every window: average pooling without the division.

    Args:
        size: Side of the window, at least 1; or both, (vertical, horizontal).
        stride: The step of the window, alike; ``size`` by default.
    """

    def __init__(self, size: int | tuple[int, int], stride: int | tuple[int, int] | None = None):
        super().__init__()
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, x: Tensor) -> Tensor:
        """Sum the windows: [batch, c, h, w] -> [batch, c, h', w']."""
        return nn.functional.avg_pool2d(x, self.size, self.stride, divisor_override=1)


def medians(maps: Tensor, side: int) -> Tensor:
    """Every element as the median of a window around it, its gradient that of the element taken.

    Args:
        maps: [batch, channels, height, width].
        side: The side of the window, from 1. Beyond the edges, the elements at the edges count; of an even number of
            elements the lower of the two in the middle is taken.
    """
    before, after = (side - 1) // 2, side // 2
    padded = nn.functional.pad(maps, (before, after, before, after), mode="replicate")
    return padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4).median(4).values


ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "square": Square}
)


def activation(name: str) -> nn.Module:
    """A new activation layer.

    Raises:
        ValueError: Unknown name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()
