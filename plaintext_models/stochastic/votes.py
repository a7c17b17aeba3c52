"""Answers of several draws, as one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from intnn.values.arrays import integer
from plaintext_models.attacks.core.target import Target


@torch.no_grad()
def ballots(target: Target, images: Tensor, draws: int) -> Tensor:
    """The logits of several forwards, [draws, batch, classes].

    Args:
        target: The model; one that is not stochastic says the same with every forward.
        images: [batch, *shape].
        draws: How many forwards, from 1.
    """
    return torch.stack([target.logits(images) for _ in range(integer(draws, "draws", 1))])


def majority(logits: Tensor) -> Tensor:
    """The class that most draws vote for, [batch]; of several, the lowest.

    Args:
        logits: [draws, batch, classes].
    """
    return functional.one_hot(logits.argmax(2), logits.shape[2]).sum(0).argmax(1)


def mean(logits: Tensor) -> Tensor:
    """The class with the largest mean of the logits, [batch].

    Args:
        logits: [draws, batch, classes].
    """
    return logits.mean(0).argmax(1)
