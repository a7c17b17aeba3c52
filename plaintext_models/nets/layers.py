"""The layers that torch lacks, and activations by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from plaintext_models.training.qat.rounding import straight_through


class Square(nn.Module):
    """x -> x^2, elementwise: the activation of CryptoNets (Gilad-Bachrach et al., ICML 2016, section 3.1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Square every element of a tensor of any shape."""
        return torch.square(x)


class Stretch(nn.Module):
    """Contrast stretching: values from `low` to `high` are spread over 0 to 1, and what lies beyond becomes 0 or 1.

    Where `high - low` is 1 - 2 r, a black or white input that moves by at most r stays black or white.

    Attributes:
        gradient: "straight" passes gradients through as if nothing were cut off: a point outside may be moved inside,
            of which the exact gradient, 0 there, says nothing. "exact" has that gradient.

    Args:
        low: What becomes 0.
        high: What becomes 1.

    Raises:
        ValueError: `low` and `high` do not grow within [0, 1].
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        if not 0 <= low < high <= 1:
            raise ValueError(f"`low` and `high` must grow within [0, 1], got {low} and {high}")
        self.low, self.high = low, high
        self.gradient: Literal["straight", "exact"] = "straight"

    def forward(self, x: Tensor) -> Tensor:
        """Stretch a tensor of any shape."""
        spread = (x - self.low) / (self.high - self.low)
        cut = nn.functional.hardtanh(spread, 0, 1)
        return cut if self.gradient == "exact" else straight_through(spread, cut)


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
