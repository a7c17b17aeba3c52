"""Adversarial training that perturbs what enters any layer, the first or a hidden one (arXiv:1412.6572, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.values.arrays import integer
from plaintext_models.attacks.core.numbers import number
from plaintext_models.training.loop import Batch, LossHook


def perturbed(module: nn.Sequential, place: int, radius: float, *, clean: float = 0.5) -> LossHook:
    """The loss alpha J(x) + (1 - alpha) J(x~), where what enters a layer in x~ has moved by radius * sign(gradient).

    With place 0 it is adversarial training by one step from the image, unclipped. The step is taken through the units
    that the loss meets: those that are dropped are dropped in both.

    Args:
        module: The chain that is trained.
        place: The number of the layer whose inputs are moved, from 0.
        radius: How far each of them is moved, not negative.
        clean: Alpha, from 0 to 1.

    Raises:
        ValueError: A number is out of range.
    """
    integer(place, "place", 0, len(module) - 1)
    number(radius, "radius", least=0)
    number(clean, "clean", least=0, most=1)
    before, after = module[:place], module[place:]

    def mixed(_: Tensor, batch: Batch) -> Tensor:
        entering = before(batch.images)
        leaf = entering.detach().requires_grad_()
        state = torch.get_rng_state()
        (slope,) = torch.autograd.grad(functional.cross_entropy(after(leaf), batch.labels), leaf)
        torch.set_rng_state(state)
        disturbed = functional.cross_entropy(after(entering + radius * slope.sign()), batch.labels)
        return clean * functional.cross_entropy(module(batch.images), batch.labels) + (1 - clean) * disturbed

    return mixed
