"""T26, feature denoising: blocks inside a residual network take out of its maps what an attack has put there.

Xie et al., "Feature denoising for improving adversarial robustness" (arXiv:1812.03411); used with adversarial training.
The paper's network is a ResNet-152, and ours is one of two or three stages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII, pgd
from plaintext_models.defences.defence import Defended
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

CHANNELS = {"digits": (8, 16)}  # others: OTHERWISE
OTHERWISE = (16, 32, 64)


@dataclass(frozen=True)
class FeatureDenoising:
    """A small residual network with a denoising block at the end of every stage.

    Attributes:
        kind: See `plaintext_models.nets.denoising.Denoising`; None for the same network without the blocks.
    """

    kind: str | None = "gaussian"

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The residual network in place of the recipe's, trained as that, against attacks if the recipe says so."""
        options = {"channels": CHANNELS.get(dataset.name, OTHERWISE), "denoise": self.kind}
        return make(replace(recipe, network="resnet", options=options), dataset, report=report)


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator, form: str = "gaussian") -> Defended:  # noqa: ARG001
    """Blocks of a kind, or "none", with adversarial training: the recipe's, or one that suits the data set."""
    hardening = recipe.hardening or pgd(RADII[dataset.name]).hardening
    denoising = FeatureDenoising(None if form == "none" else form)
    return Defended(Target(denoising.train(replace(recipe, hardening=hardening), dataset)))
