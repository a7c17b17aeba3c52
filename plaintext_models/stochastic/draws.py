"""What the layers of this room share: they draw with every forward, can be told from what, and can be told not to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from plaintext_models.attacks.core.target import Target


class Drawing(nn.Module):
    """A layer that draws at random with every forward, in training and in evaluation mode.

    Attributes:
        generator: Draws. Where it is None, torch's own does, which a training seeds.
        still: Whether the layer gives what it expects, or what is likeliest, in place of a draw.
    """

    generator: torch.Generator | None = None
    still: bool = False

    def normal(self, shape: Tensor) -> Tensor:
        """Standard normal numbers of the shape, type and place of a tensor."""
        return torch.randn(shape.shape, generator=self.generator, dtype=shape.dtype, device=shape.device)

    def uniform(self, shape: Tensor) -> Tensor:
        """Numbers from 0 to below 1, of the shape, type and place of a tensor."""
        return torch.rand(shape.shape, generator=self.generator, dtype=shape.dtype, device=shape.device)


def drawings(module: nn.Module) -> Iterator[Drawing]:
    """The layers of a module that draw."""
    return (part for part in module.modules() if isinstance(part, Drawing))


def draw_from(module: nn.Module, generator: torch.Generator | None) -> None:
    """Let all layers of a module draw from a generator; from torch's own if None."""
    for layer in drawings(module):
        layer.generator = generator


@contextlib.contextmanager
def stilled(module: nn.Module) -> Iterator[None]:
    """Within this context no layer of a module draws."""
    before = [(layer, layer.still) for layer in drawings(module)]
    for layer, _ in before:
        layer.still = True
    try:
        yield
    finally:
        for layer, still in before:
            layer.still = still


def expected(module: nn.Module, inputs: Tensor) -> Tensor:
    """What a module answers when none of its layers draws."""
    with stilled(module):
        answers: Tensor = module(inputs)
    return answers


def drawing(module: nn.Module, generator: torch.Generator) -> Target:
    """A network whose layers draw from a generator, as attacks see it: its forwards differ."""
    draw_from(module, generator)
    return Target(module, stochastic=True)


def twin(module: nn.Module) -> Target:
    """The deterministic twin: the same network with layers that do not draw, whatever it does elsewhere."""
    return Target(partial(expected, module))
