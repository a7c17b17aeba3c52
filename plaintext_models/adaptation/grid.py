"""The integers of a layer's parameters on a grid that its inputs' and its outputs' scales leave.

A value v of the float network is the integer s v, with a scale s for every channel. A weight from a channel of scale s
to one of scale r has r / s integers per unit, and a bias has r.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from plaintext_models.adaptation.trainable import across
from plaintext_models.training.qat.rounding import round_half_up, straight_through

LARGEST = 2.0**62  # of a weight, which has to fit int64: a factor between values of very different scales may not


@dataclass(frozen=True)
class Rounded:
    """A layer's parameters as integers, float64, with gradients that pass the rounding.

    Attributes:
        weight: Integer weights.
        bias: Integer biases.
        weight_steps: Integers per unit of every weight.
        scale: Integers per unit of an output [outputs].
    """

    weight: Tensor
    bias: Tensor
    weight_steps: Tensor
    scale: Tensor

    def reals(self) -> tuple[Tensor, Tensor]:
        """Weights and biases in the units of the float network."""
        return self.weight / self.weight_steps, self.bias / self.scale


def rounded(weight: Tensor, bias: Tensor, scale_in: Tensor, scale: Tensor) -> Rounded:
    """Round parameters to the grid of given scales.

    Args:
        weight: Float weights.
        bias: Float biases [outputs].
        scale_in: Integers per unit of an input, float64, laid beside the weights that read it.
        scale: Integers per unit of an output, float64 [outputs].
    """
    steps = across(scale, scale_in.ndim) / scale_in
    smooth = (weight.double() * steps).clamp(-LARGEST, LARGEST)
    whole = straight_through(smooth, smooth.round())  # as the budget has counted them
    offset = round_half_up(bias.double() * scale)
    return Rounded(whole, offset, steps, scale)
