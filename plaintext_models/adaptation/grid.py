"""Integer grids of weights: which integers a float layer has, where its inputs and outputs are integers of given scales.

A value v of a float network is the integer s v, with a scale s for every channel. A weight from a channel of scale s to
one of scale r has r / s integers per unit, and a bias has r.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plaintext_models.adaptation.trainable import Weighted, across, columns
from plaintext_models.training.qat.rounding import round_half_up

CLIPS = torch.linspace(0.05, 1.0, 20)  # where weights may saturate, relative to the largest of their row
LARGEST_BIAS = 2.0**62  # fits int64; behind four squares scales go far beyond: what a bias there cannot do is learned


class Grid(nn.Module):
    """Rounding of a layer's parameters, with gradients that pass it.

    Args:
        scale_in: Integers per unit of an input, float64, laid beside the weights that read it.
        scale_out: Integers per unit of an output, float64 [outputs].
        limit: The largest magnitude of an integer weight.
    """

    def __init__(self, scale_in: Tensor, scale_out: Tensor, limit: float):
        super().__init__()
        self.limit = limit
        self.weight_steps: Tensor
        self.bias_steps: Tensor
        self.register_buffer("weight_steps", across(scale_out, scale_in.ndim) / scale_in)
        self.register_buffer("bias_steps", scale_out)

    def integers(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Float parameters as float64 tensors of integers."""
        weight, bias = weight.double() * self.weight_steps, bias.double() * self.bias_steps
        whole = round_half_up(weight.clamp(-self.limit, self.limit))
        return whole, round_half_up(bias.clamp(-LARGEST_BIAS, LARGEST_BIAS))

    def reals(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The same in the units of the float network, float32."""
        whole, offset = self.integers(weight, bias)
        return (whole / self.weight_steps).float(), (offset / self.bias_steps).float()


@torch.no_grad()
def weight_grid(layer: Weighted, scale_in: Tensor, bits: int, is_shared: bool) -> Grid:
    """The grid on which a layer loses least.

    Every row of weights is clipped where the sum of its squared errors, in the layer's own units, is smallest.

    Args:
        layer: A layer that has been settled.
        scale_in: Integers per unit of its inputs' channels, float64 [channels].
        bits: Of a weight with its sign, at least 2.
        is_shared: Whether all outputs get one scale.
    """
    limit = 2 ** (bits - 1) - 1
    beside = columns(layer.node, scale_in)
    rows = (layer.effective()[0].double() / beside).flatten(1)
    importance = (beside / layer.unit).flatten(1)
    largest = rows.abs().amax(1)
    widest = largest.max() if largest.any() else torch.ones(())
    largest = torch.where(largest > 0, largest, widest)[:, None]
    if is_shared:
        largest = widest.expand_as(largest)

    def error(clip: float) -> Tensor:
        steps = limit / (clip * largest)
        rounded = (rows * steps).round().clamp(-limit, limit) / steps
        return ((rounded - rows) * importance).square().sum(1)

    errors = torch.stack([error(clip) for clip in CLIPS.tolist()])
    if is_shared:
        errors = errors.sum(1, keepdim=True).expand_as(errors)
    clip = CLIPS.double()[errors.argmin(0)]
    return Grid(beside, limit / (clip * largest[:, 0]), limit)
