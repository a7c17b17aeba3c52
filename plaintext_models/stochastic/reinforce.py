"""Learning of units that have no gradient, from the loss alone: REINFORCE with a baseline a unit.

Williams (1992); the baseline is that of Bengio et al. (arXiv:1308.3432, section 4), which leaves the estimate the least
variance: E[(h - p)^2 L] / E[(h - p)^2]. All units are told the same loss, that of their image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.stochastic.binarised import Binarised
from plaintext_models.training.loop import Batch, LossHook

KEPT = 0.9  # of the running means with every batch


def reinforced(module: nn.Module) -> LossHook:
    """The loss of a network with such units: its gradient by a unit's a is the estimate (h - p) (L - baseline).

    Expectations are over batches, as running means for every unit.
    """
    baselines = {unit: _Baseline() for unit in units(module)}

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        losses = functional.cross_entropy(logits, batch.labels, reduction="none")
        return losses.mean() + sum(
            _told(unit, losses.detach(), baseline(unit, losses.detach())).mean() for unit, baseline in baselines.items()
        )

    return loss


@torch.enable_grad()
def estimated_gradient(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the cross-entropy by images [batch, *shape] as one draw estimates it, its baseline the batch's.

    Args:
        module: A network with such units.
        images: [batch, *shape].
        labels: Their classes [batch].
    """
    leaf = images.detach().requires_grad_()
    losses = functional.cross_entropy(module(leaf), labels, reduction="none")
    told = [_told(unit, losses.detach(), _Baseline()(unit, losses.detach())).sum() for unit in units(module)]
    (gradient,) = torch.autograd.grad(torch.stack(told).sum(), leaf)
    return gradient


def units(module: nn.Module) -> list[Binarised]:
    """The layers of a network that learn so."""
    return [part for part in module.modules() if isinstance(part, Binarised) and part.gradient == "reinforce"]


class _Baseline:
    """Running means of (h - p)^2 L and of (h - p)^2, [units] each."""

    def __init__(self) -> None:
        self._means: tuple[Tensor, Tensor] | None = None

    def __call__(self, unit: Binarised, losses: Tensor) -> Tensor:
        """The baseline [units] after another batch of losses [batch]."""
        _, off = _seen(unit)
        new = (off.square() * losses[:, None]).mean(0), off.square().mean(0)
        old = self._means or new
        above, below = (KEPT * one + (1 - KEPT) * other for one, other in zip(old, new, strict=True))
        self._means = above, below
        return above / below.clamp_min(1e-12)


def _seen(unit: Binarised) -> tuple[Tensor, Tensor]:
    if unit.seen is None:
        raise ValueError("the loss is told to units that have answered; call the module first")
    return unit.seen


def _told(unit: Binarised, losses: Tensor, baseline: Tensor) -> Tensor:
    """A number an image, [batch], whose gradient by a [batch, units] is the estimate."""
    a, off = _seen(unit)
    return (off * (losses[:, None] - baseline) * a).sum(1)
