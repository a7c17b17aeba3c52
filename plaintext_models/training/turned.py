"""Training that anticipates an adversary who turns images (Goodfellow et al., arXiv:1412.6572, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from plaintext_models.attacks.ball.rotation import turned
from plaintext_models.attacks.core.numbers import number
from plaintext_models.training.loop import Batch, LossHook


def anticipating(module: nn.Module, angle: float, *, clean: float = 0.5) -> LossHook:
    """The loss alpha J(x) + (1 - alpha) J(x~), x~ turned by an angle towards the gradient.

    It is learnt through x~, too: a sign has no derivative, so that nothing could be learnt through a step along it.

    Args:
        module: The module that is trained.
        angle: By how much, radians, from 0 to pi / 2.
        clean: Alpha, from 0 to 1.

    Raises:
        ValueError: A number is out of range.
    """
    number(clean, "clean", least=0, most=1)

    def mixed(_: Tensor, batch: Batch) -> Tensor:
        leaf = batch.images.detach().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):  # torch's other attentions have a first derivative only
            undisturbed = functional.cross_entropy(module(leaf), batch.labels)
        (slope,) = torch.autograd.grad(undisturbed, leaf, create_graph=True)
        moved = turned(leaf, slope, angle)
        return clean * undisturbed + (1 - clean) * functional.cross_entropy(module(moved), batch.labels)

    return mixed
