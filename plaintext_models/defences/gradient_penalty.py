"""T23, gradient regularisation: training punishes a loss that is steep in the images.

Ross and Doshi-Velez, "Improving the adversarial robustness and interpretability of deep neural networks by regularizing
their input gradients" (arXiv:1711.09404, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII, pgd
from plaintext_models.defences.defence import Defended
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

WEIGHT = 0.3  # of the squared gradient; the paper tries 0.01 to 1000


@dataclass(frozen=True)
class GradientPenalty:
    """Cross-entropy plus `weight` times the squared length of its gradient by the image, the mean over a batch.

    With a recipe that has a hardening, both are taken of the attacked images: adversarial training and the penalty.

    Attributes:
        weight: From 0, which leaves the cross-entropy alone.

    Raises:
        ValueError: `weight` is negative or not finite.
    """

    weight: float = WEIGHT

    def __post_init__(self) -> None:
        number(self.weight, "weight", least=0)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained with the penalty."""
        return make(recipe, dataset, report=report, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """The loss of a module. It takes a forward of its own: the loop's has no gradient by the images."""

        def penalised(_: Tensor, batch: Batch) -> Tensor:
            leaf = batch.images.detach().requires_grad_()
            with sdpa_kernel(SDPBackend.MATH):  # torch's other attentions have a first derivative only
                losses = functional.cross_entropy(module(leaf), batch.labels, reduction="none")
            (slope,) = torch.autograd.grad(losses.sum(), leaf, create_graph=True)
            return (losses + self.weight * slope.square().flatten(1).sum(1)).mean()

        return penalised


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "alone") -> Defended:  # noqa: ARG001
    """The penalty alone, or with adversarial training ("adversarial") within a radius that suits the data set."""
    if form == "adversarial":
        recipe = replace(recipe, hardening=pgd(RADII[dataset.name]).hardening)
    return Defended(Target(GradientPenalty().train(recipe, dataset)))
