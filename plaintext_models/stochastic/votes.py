"""Answers of several draws, as one."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from intnn.values.arrays import integer
from plaintext_models.attacks.core.derived import derived
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


def averaged(target: Target, draws: int) -> Target:
    """The ensemble of so many draws as one target: the logarithm of the mean of their probabilities.

    Its gradients are those of an attacker who knows that answers are drawn, and attacks what they are on average.

    Args:
        target: The model.
        draws: How many forwards each of its own takes, from 1.
    """
    return derived(target, partial(_mean_of_draws, target, integer(draws, "draws", 1)))


def _mean_of_draws(target: Target, draws: int, images: Tensor) -> Tensor:
    logs = torch.stack([target.logits(images).log_softmax(1) for _ in range(draws)])
    return logs.logsumexp(0) - math.log(draws)
