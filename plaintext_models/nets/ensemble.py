"""Several networks as one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """The logarithm of the mean of its members' probabilities.

    Args:
        members: Networks of the same inputs and classes, one at least.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, *input_shape] -> [batch, classes]."""
        logs = torch.stack([member(images).log_softmax(1) for member in self.members])
        return logs.logsumexp(0) - math.log(len(self.members))
