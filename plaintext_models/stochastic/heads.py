"""Gates as classifiers: what a trained gate has to say of the class, read by one linear layer."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from plaintext_models.stochastic.gates import Gate, MaskedConv2d


class GateClassifier(nn.Module):
    """A linear layer on the masks of a gate; everything that leads to these is a frozen copy.

    Args:
        network: A chain of layers with gates.
        number: Which of its gates, from 0.
        classes: Number of outputs.

    Raises:
        ValueError: There is no such gate.
    """

    def __init__(self, network: nn.Sequential, number: int, classes: int) -> None:
        super().__init__()
        places = [i for i, part in enumerate(network) if isinstance(part, MaskedConv2d) and isinstance(part.gate, Gate)]
        if not 0 <= number < len(places):
            raise ValueError(f"`number` must be from 0 to {len(places) - 1}, got {number}")
        layer = network[places[number]]
        assert isinstance(layer, MaskedConv2d)
        self.before = copy.deepcopy(network[: places[number]])
        self.gate = copy.deepcopy(layer.gate)
        for part in (self.before, self.gate):
            part.requires_grad_(False).eval()
        self.head = nn.Linear(layer.weight.numel(), classes)

    def train(self, mode: bool = True) -> GateClassifier:
        """The linear layer alone has a mode; what is frozen stays in evaluation mode."""
        self.training = mode
        self.head.train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Images [batch, *input_shape] to logits [batch, classes]."""
        masks: Tensor = self.gate(self.before(images))
        return self.head(masks.flatten(1))
