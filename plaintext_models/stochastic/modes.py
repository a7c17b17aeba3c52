"""The same network in another mode: other gradients of the same answers, or answers by masks of other images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.stochastic.activations import Pruning


@contextlib.contextmanager
def set_on(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """Within this context an attribute has a value, on all parts of a module that have it."""
    before = [(part, getattr(part, name)) for part in module.modules() if hasattr(part, name)]
    for part, _ in before:
        setattr(part, name, value)
    try:
        yield
    finally:
        for part, old in before:
            setattr(part, name, old)


def in_mode(module: nn.Module, name: str, value: Any, inputs: Tensor) -> Tensor:
    """What a module answers in a mode."""
    with set_on(module, name, value):
        answers: Tensor = module(inputs)
    return answers


def through_probabilities(module: nn.Module) -> Target:
    """The same random answers, their gradients those of the probabilities behind every threshold.

    An attacker may take whatever gradient serves him: what a network was trained with is a choice of its owner's.
    """
    return Target(partial(in_mode, module, "gradient", "soft"), stochastic=True)


def shuffled(module: nn.Module) -> Target:
    """The network with the masks of every image taken from another image of the batch, at random."""
    return Target(partial(in_mode, module, "shuffled", True), stochastic=True)


def set_share(module: nn.Module, share: float) -> None:
    """Prune activations from now on: see `Pruning.share`."""
    for part in module.modules():
        if isinstance(part, Pruning):
            part.share = share
