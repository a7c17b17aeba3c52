"""Deep Boltzmann machines that classify by inference.

Goodfellow et al., "Multi-prediction deep Boltzmann machines" (NIPS 2013).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.layers.nodes import Shape
from intnn.values.arrays import integer

DEVIATION = 0.05  # of initial weights


class Dbm(nn.Module):
    """Pixels v, two layers h and g of units that are 0 or 1, and a class y, with the energy of a Boltzmann machine.

    -E = v^T A h + h^T B g + g^T C y + biases. What is not known is inferred by mean field: every unit takes its
    expected value given those of the others, layer by layer, for so many rounds. Classes are inferred from all pixels.

    Args:
        input_shape: The shape of one input; elements are probabilities of a pixel being 1.
        classes: Number of classes.
        hidden: The units of both layers.
        rounds: Of inference, from 1.
    """

    def __init__(
        self, input_shape: Shape, classes: int, *, hidden: tuple[int, int] = (500, 500), rounds: int = 5
    ) -> None:
        super().__init__()
        self.rounds = integer(rounds, "rounds", 1)
        sizes = (math.prod(input_shape), *hidden, classes)
        self.weights = nn.ParameterList(DEVIATION * torch.randn(one, other) for one, other in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes)

    def infer(self, pixels: Tensor, known: Tensor, classes: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of all pixels [batch, pixels], and logits of the classes [batch, classes], by mean field.

        Args:
            pixels: [batch, pixels]; what is not known does not matter.
            known: Which of them are known, [batch, pixels].
            classes: Probabilities [batch, classes]; of whoever is not told theirs, they do not matter.
            told: Whose class is known, [batch, 1].
        """
        low, middle, high = self.weights
        visible, first, second, top = self.biases
        v = torch.where(known, pixels, torch.sigmoid(visible))
        y = torch.where(told, classes, top.softmax(0))
        g = torch.sigmoid(second).expand(len(pixels), -1)
        for _ in range(self.rounds):
            h = torch.sigmoid(v @ low + g @ middle.T + first)
            g = torch.sigmoid(h @ middle + y @ high.T + second)
            odds, logits = h @ low.T + visible, g @ high + top
            v = torch.where(known, pixels, torch.sigmoid(odds))
            y = torch.where(told, classes, logits.softmax(1))
        return odds, logits

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *input_shape] -> [batch, classes]."""
        pixels = images.flatten(1)
        nothing = pixels.new_zeros(len(pixels), self.biases[-1].numel())
        all_known = torch.ones_like(pixels, dtype=torch.bool)
        return self.infer(pixels, all_known, nothing, all_known[:, :1] & False)[1]

    def multi_prediction(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """How badly a random half of pixels and classes is inferred from the other half, nats.

        Args:
            images: [batch, *input_shape], from 0 to 1.
            labels: [batch].
            generator: Draws the halves.

        Returns:
            The mean cross-entropy of the pixels that are predicted, plus that of the classes that are.
        """
        pixels = images.flatten(1)
        classes = functional.one_hot(labels, self.biases[-1].numel()).to(pixels.dtype)
        known, told = (torch.rand(part.shape, generator=generator) < 0.5 for part in (pixels, pixels[:, :1]))
        odds, logits = self.infer(pixels, known, classes, told)
        missing, untold = ~known, ~told.squeeze(1)
        of_pixels = functional.binary_cross_entropy_with_logits(odds, pixels, reduction="none")
        of_classes = functional.cross_entropy(logits, labels, reduction="none")
        return (of_pixels * missing).sum() / missing.sum() + (of_classes * untold).sum() / untold.sum().clamp_min(1)
