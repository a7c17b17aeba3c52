"""Slopes of threshold units that grow while a network is trained."""

from __future__ import annotations

from torch import Tensor, nn

from plaintext_models.stochastic.binarised import anneal
from plaintext_models.training.loop import Batch, BatchHook


def annealed(module: nn.Module, epochs: int) -> BatchHook:
    """The hook that sets slopes to those of the epoch, and leaves images as they are.

    Args:
        module: What is trained.
        epochs: How many epochs the slopes are to see, however many the training has: a shorter one goes through the
            same slopes.
    """

    def set_slopes(batch: Batch) -> Tensor:
        anneal(module, epochs * batch.step // batch.steps)
        return batch.images

    return set_slopes
