"""Weights that are drawn with every forward, of any module that torch has.

They are parametrizations of torch: a module with random weights is the module itself, asking for its weight gives a
draw, and what is trained are the numbers behind it. All inputs of a batch meet the same draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from intnn.values.arrays import integer
from plaintext_models.attacks.core.numbers import number
from plaintext_models.stochastic.draws import Drawing


class DropConnect(Drawing):
    """Weights of which a random part is 0 (Wan et al., ICML 2013); without a draw, all of them times the part kept.

    Args:
        weight: The weight, of any shape.
        drop: The probability with which each is 0, from 0 to below 1.

    Raises:
        ValueError: `drop` is out of range.
    """

    def __init__(self, weight: Tensor, *, drop: float = 0.2) -> None:  # noqa: ARG002 - every kind is made of a weight
        super().__init__()
        self.drop = number(drop, "drop", least=0, below=1)

    def forward(self, weight: Tensor) -> Tensor:
        """A draw of a weight of any shape."""
        if self.still:
            return (1 - self.drop) * weight
        return weight * (self.uniform(weight) >= self.drop)


class Normal(Drawing):
    """Independent normal weights, their means and deviations learnt by gradients (reparameterisation).

    Kingma and Welling, arXiv:1312.6114, section 2.4. A deviation is the softplus of a free parameter, hence positive.

    Args:
        weight: The means, of any shape.
        fraction: Where all deviations start, in units of `xavier`, positive.

    Raises:
        ValueError: `fraction` is not positive.
    """

    def __init__(self, weight: Tensor, *, fraction: float = 0.5) -> None:
        super().__init__()
        start = number(fraction, "fraction", above=0) * xavier(weight)
        self.free = nn.Parameter(torch.full_like(weight, math.log(math.expm1(start))))

    @property
    def deviation(self) -> Tensor:
        """The standard deviation of every weight."""
        return nn.functional.softplus(self.free)

    def forward(self, weight: Tensor) -> Tensor:
        """A draw of a weight of any shape."""
        return weight if self.still else weight + self.deviation * self.normal(weight)


class DeltaRule(Drawing):
    """The stochastic delta rule: normal weights whose deviations grow with gradients, and decay.

    Frazier-Logue and Hanson, arXiv:1808.03578. With every `interval`-th backward pass in training mode, the deviation
    s of a weight becomes s + growth |g|, g the loss's gradient by the drawn weight; with every `period`-th, it is then
    multiplied by `decay`. A decay of 1 is the rule without decay; without growth and deviations it is plain training.

    Args:
        weight: The means, of any shape.
        growth: How deviations grow with gradients, not negative.
        interval: Every how many backward passes they grow, from 1.
        decay: What they are multiplied by, above 0, up to 1.
        period: Every how many backward passes they decay, from 1.
        fraction: Where all deviations start, in units of `xavier`, not negative.

    Raises:
        ValueError: A number is out of range.
    """

    deviation: Tensor
    passes: Tensor

    def __init__(
        self,
        weight: Tensor,
        *,
        growth: float = 0.05,
        interval: int = 1,
        decay: float = 0.7,
        period: int = 1,
        fraction: float = 0.5,
    ) -> None:
        super().__init__()
        self.growth = number(growth, "growth", least=0)
        self.decay = number(decay, "decay", above=0, most=1)
        self.interval, self.period = integer(interval, "interval", 1), integer(period, "period", 1)
        start = number(fraction, "fraction", least=0) * xavier(weight)
        self.register_buffer("deviation", torch.full_like(weight, start))
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def forward(self, weight: Tensor) -> Tensor:
        """A draw of a weight of any shape; in training mode it waits for its gradient."""
        if self.still:
            return weight
        drawn = weight + self.deviation * self.normal(weight)
        if self.training and drawn.requires_grad:
            drawn.register_hook(self._learn)
        return drawn

    def _learn(self, gradient: Tensor) -> None:
        self.passes += 1
        if int(self.passes) % self.interval == 0:
            self.deviation += self.growth * gradient.abs()
        if int(self.passes) % self.period == 0:
            self.deviation *= self.decay


#: What weights can be, by name: made of a weight and options.
KINDS: Mapping[str, Callable[..., Drawing]] = MappingProxyType(
    {"dropconnect": DropConnect, "normal": Normal, "delta rule": DeltaRule}
)


def randomise(module: nn.Module, kind: str, *, convolutions: bool = False, **options: Any) -> None:
    """Let the weights of a module's dense layers be drawn from now on, in place.

    DropConnect leaves biases as they are; the other kinds draw them, too.

    Args:
        module: The weights that it has become what is trained.
        kind: A key of `KINDS`.
        convolutions: Whether those of its convolutions are, too.
        **options: What the kind takes.

    Raises:
        ValueError: The kind is unknown, or an option is out of range.
        TypeError: The kind has no such option.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}")
    names = ("weight",) if kind == "dropconnect" else ("weight", "bias")
    layers = (nn.Linear, nn.Conv2d) if convolutions else (nn.Linear,)
    for layer in [part for part in module.modules() if isinstance(part, layers)]:
        for name in names:
            if (weight := getattr(layer, name)) is not None:
                parametrize.register_parametrization(layer, name, KINDS[kind](weight.detach(), **options))
        layer.train(layer.training)  # what was added, too


def xavier(weight: Tensor) -> float:
    """The deviation of Glorot and Bengio (2010), sqrt(2 / (incoming + outgoing)); a bias has one incoming.

    Args:
        weight: [outgoing, incoming, ...], every further element of a filter counting for both; or a bias, [outgoing].
    """
    outgoing, incoming, window = len(weight), math.prod(weight.shape[1:2]), math.prod(weight.shape[2:])
    return math.sqrt(2 / ((outgoing + incoming) * window))


def variance(module: nn.Module) -> float:
    """The sum of the variances of all normal weights of a module."""
    parts = [part for part in module.modules() if isinstance(part, Normal | DeltaRule)]
    return sum(float(part.deviation.detach().double().square().sum()) for part in parts)
