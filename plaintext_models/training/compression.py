"""Smaller networks: weights that are removed or rounded while training goes on.

A removed weight stays 0, a rounded one a multiple of its step, whatever changes the weights that they are made of: both
are parametrisations, which torch applies whenever a layer is asked for its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from intnn.values.arrays import integer
from plaintext_models.attacks.core.numbers import number

#: Gives how much every weight matters, by the names of layers; those that matter least are removed first.
Saliency = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Mapping[str, Tensor]]


class Masked(nn.Module):
    """A weight of which some elements are 0.

    Args:
        kept: Which elements stay, a bool tensor of the weight's shape.
    """

    kept: Tensor

    def __init__(self, kept: Tensor):
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, with zeros."""
        return torch.where(self.kept, weight, 0.0)


class Rounded(nn.Module):
    """A weight rounded to 2**bits - 1 multiples of a step around 0; the gradient passes as if it were not rounded.

    Args:
        bits: From 2; the step is the largest magnitude over the largest multiple.
    """

    def __init__(self, bits: int):
        super().__init__()
        self.largest = 2 ** (integer(bits, "bits", 2) - 1) - 1

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, rounded."""
        step = weight.detach().abs().max().clamp_min(torch.finfo(weight.dtype).tiny) / self.largest
        return weight + ((weight / step).round() * step - weight).detach()


def layers(module: nn.Module) -> Mapping[str, nn.Conv2d | nn.Linear]:
    """The convolutions and dense layers of a module, by their names."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


def magnitude(module: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:  # noqa: ARG001
    """|w|, by which Han et al. (arXiv:1506.02626) remove connections."""
    return {name: layer.weight.detach().abs() for name, layer in layers(module).items()}


def curvature(module: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:  # noqa: ARG001
    """H w^2 / 2, by how much the loss grows without a weight (Le Cun et al., "Optimal brain damage", NIPS 1989).

    h, the diagonal of the loss's Hessian, is taken to be the mean square of the gradients by single images, which it is
    in the mean where the network's probabilities are right.
    """
    found = layers(module)
    sums = {name: torch.zeros_like(layer.weight) for name, layer in found.items()}
    weights = [layer.weight for layer in found.values()]
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        loss = functional.cross_entropy(module(image), label)
        for total, gradient in zip(sums.values(), torch.autograd.grad(loss, weights), strict=True):
            total += gradient.square()
    return {name: sums[name] / len(images) * layer.weight.detach().square() / 2 for name, layer in found.items()}


def chance(module: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:  # noqa: ARG001
    """Random numbers: what any other saliency must be better than."""
    return {name: torch.rand(layer.weight.shape, generator=generator) for name, layer in layers(module).items()}


def prune(module: nn.Module, saliency: Mapping[str, Tensor], removed: float) -> nn.Module:
    """Remove the weights of all layers together that matter least.

    Args:
        module: The network, which is changed; biases stay.
        saliency: How much every weight matters.
        removed: Which share of all weights is removed, from 0 to below 1.

    Returns:
        The module.

    Raises:
        ValueError: `removed` is out of range.
    """
    number(removed, "removed", least=0, below=1)
    every = torch.cat([values.flatten() for values in saliency.values()])
    gone = torch.zeros(len(every), dtype=torch.bool)
    gone[every.argsort(stable=True)[: round(removed * len(every))]] = True
    for layer, part in zip(layers(module).values(), gone.split([v.numel() for v in saliency.values()]), strict=True):
        parametrize.register_parametrization(layer, "weight", Masked(~part.reshape(layer.weight.shape)))
    return module.train(module.training)  # what was added, too


def quantise(module: nn.Module, bits: int) -> nn.Module:
    """Round the weights of all layers to so many bits; biases stay.

    Args:
        module: The network, which is changed.
        bits: From 2.

    Returns:
        The module.
    """
    for layer in layers(module).values():
        parametrize.register_parametrization(layer, "weight", Rounded(bits))
    return module.train(module.training)
