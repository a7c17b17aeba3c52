"""Convolutions whose filters are masked, for every image by itself: by gates that see it, or at random.

Gates: a module beside a convolution looks at what the convolution is given and answers with a mask of its filters'
shape; both are trained together. Random masks of weights: Wan et al., "Regularization of neural networks using
DropConnect" (ICML 2013), here drawn in training and afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.attacks.core.numbers import number
from plaintext_models.stochastic.convolve import convolve
from plaintext_models.stochastic.draws import Drawing

Masks = tuple[int, int, int, int]  # outgoing, incoming, side, side


class Asinh(nn.Module):
    """x -> asinh(x), elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of any shape."""
        return torch.asinh(x)


class Exchange(Drawing):
    """Masks as they are; or, if it is told so, every image gets those of another one of the batch.

    Attributes:
        shuffled: Whether it is told so.
    """

    shuffled: bool = False

    def forward(self, masks: Tensor) -> Tensor:
        """Masks [batch, ...], in another order perhaps."""
        if not self.shuffled:
            return masks
        return masks[torch.randperm(len(masks), generator=self.generator, device=masks.device)]


class MaskedConv2d(nn.Conv2d):
    """A convolution whose filters are multiplied by a mask, for every image another one.

    Attributes:
        gate: Maps images [batch, incoming, height, width] to masks [batch, outgoing, incoming, side, side].

    Args:
        incoming: Maps that come in.
        outgoing: Maps that go out.
        side: The side of a filter.
        stride: The step of the window.
        padding: How many zeros are put on all four sides.
        gate: Given this convolution, makes its gate.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        side: int,
        stride: int,
        padding: int,
        gate: Callable[[nn.Conv2d], nn.Module],
    ) -> None:
        super().__init__(incoming, outgoing, side, stride, padding)
        self.gate, self.exchange = gate(self), Exchange()

    def forward(self, images: Tensor) -> Tensor:
        """[batch, incoming, height, width] -> [batch, outgoing, height', width']."""
        masks = self.exchange(self.gate(images))
        maps = convolve(images, self.weight * masks, self.stride[0], int(self.padding[0]))
        return maps if self.bias is None else maps + self.bias[:, None, None]


class Gate(nn.Module):
    """A convolution and two dense layers, then a number for every weight of the filters, binarised or not.

    Args:
        beside: The convolution that is masked.
        size: Height and width of the images that both see.
        stride: The step of the gate's own convolution.
        hidden: The units of both dense layers.
        between: The activation behind the second of them.
        last: Makes numbers into masks: threshold units for 0 and 1, or a sigmoid.
        rank: Numbers are made as sums of so many products of one for every outgoing map and one for every incoming
            weight, which is far fewer weights; None for a number of its own for every weight.
        gain: What numbers are multiplied by: a gate of few units moves them less with a step than one of many.
        shared: Whether the gate's convolution has the filters of the masked one, before they are masked.
    """

    def __init__(
        self,
        beside: nn.Conv2d,
        size: tuple[int, int],
        *,
        stride: int = 1,
        hidden: int = 512,
        between: nn.Module,
        last: nn.Module,
        rank: int | None = None,
        gain: float = 1.0,
        shared: bool = False,
    ) -> None:
        super().__init__()
        side, padding = beside.kernel_size[0], int(beside.padding[0])
        self.shape: Masks = (beside.out_channels, beside.in_channels, side, side)
        self.stride, self.padding, self.rank, self.gain = stride, padding, rank, gain
        own = nn.Conv2d(beside.in_channels, beside.out_channels, side)
        self.weight, self.bias = (beside.weight, beside.bias) if shared else (own.weight, own.bias)
        places = math.prod((length + 2 * padding - side) // stride + 1 for length in size)
        incoming = math.prod(self.shape[1:])
        numbers = math.prod(self.shape) if rank is None else rank * (self.shape[0] + incoming)
        self.dense = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm2d(beside.out_channels),
            nn.Flatten(),
            nn.Linear(beside.out_channels * places, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, hidden),
            between,
            nn.Linear(hidden, numbers),
        )
        self.last = last

    def numbers(self, images: Tensor) -> Tensor:
        """What is behind the masks: [batch, incoming, height, width] -> [batch, *shape of the filters]."""
        maps = functional.conv2d(images, self.weight, self.bias, self.stride, self.padding)
        numbers: Tensor = self.dense(maps)
        if self.rank is not None:
            outer, inner = numbers.split((self.rank * self.shape[0], numbers.shape[1] - self.rank * self.shape[0]), 1)
            numbers = outer.unflatten(1, (-1, self.rank)) @ inner.unflatten(1, (self.rank, -1))
        return self.gain * numbers.reshape(-1, *self.shape)

    def forward(self, images: Tensor) -> Tensor:
        """Masks: [batch, incoming, height, width] -> [batch, *shape of the filters]."""
        masks: Tensor = self.last(self.numbers(images))
        return masks


class RandomGate(Drawing):
    """Masks that no image decides: every weight is kept with one probability; without a draw, that is the mask.

    Args:
        beside: The convolution that is masked.
        keep: The probability, above 0, to 1.
        scaled: Whether what is kept is divided by the probability.

    Raises:
        ValueError: The probability is out of range.
    """

    def __init__(self, beside: nn.Conv2d, keep: float, *, scaled: bool = False) -> None:
        super().__init__()
        self.keep = number(keep, "keep", above=0, most=1)
        self.shape = tuple(beside.weight.shape)
        self.factor = 1 / self.keep if scaled else 1.0

    def forward(self, images: Tensor) -> Tensor:
        """Masks: [batch, ...] -> [batch, *shape of the filters]."""
        whole = images.new_ones(len(images), *self.shape)
        return self.factor * (self.keep * whole if self.still else (self.uniform(whole) < self.keep).to(whole.dtype))
