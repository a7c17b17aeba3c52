"""Losses that attacks ascend: each maps logits [batch, classes] and classes [batch] to one number an image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from plaintext_models.attacks.core.norms import TINY

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """The cross-entropy, -log softmax at the class, in nats."""
    return functional.cross_entropy(logits, classes, reduction="none")


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Largest logit of another class less the class's own: positive where misclassified (Carlini and Wagner, f6)."""
    own = logits.gather(1, classes[:, None]).squeeze(1)
    return others(logits, classes).amax(1) - own


def dlr(logits: Tensor, classes: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein, arXiv:2003.01690, eq. 6): the margin in units of the spread z1 - z3.

    Unlike the cross-entropy it does not vanish where a model is very sure, nor change with the logits' scale. It needs
    three classes.
    """
    ordered = logits.sort(1, descending=True).values
    return margin(logits, classes) / (ordered[:, 0] - ordered[:, 2]).clamp_min(TINY)


def targeted_dlr(logits: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """Targeted difference of logits ratio (arXiv:2003.01690, eq. 7), growing towards the target.

    It needs four classes.
    """
    ordered = logits.sort(1, descending=True).values
    own, wanted = (logits.gather(1, index[:, None]).squeeze(1) for index in (classes, targets))
    return (wanted - own) / (ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3])).clamp_min(TINY)


def others(logits: Tensor, classes: Tensor) -> Tensor:
    """The logits with those of the classes themselves at minus infinity."""
    return logits.scatter(1, classes[:, None], -torch.inf)


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "margin": margin, "dlr": dlr}


def logit(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of a class an image, [batch]."""
    return logits.gather(1, classes[:, None]).squeeze(1)
