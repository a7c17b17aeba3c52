"""T24, noise on the logits: normal noise is added to every answer, to hide which way they change.

Nguyen and Sinha, "A learning and masking approach to secure learning" (arXiv:1709.04447): against attacks such as
Carlini and Wagner's, which compare logits between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from plaintext_models.attacks.core.derived import derived
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe

DEVIATION = 1.0  # in units of the logits


@dataclass(frozen=True, eq=False)
class LogitNoise:
    """Independent normal noise on every logit of every forward.

    Attributes:
        deviation: Its standard deviation, in units of the logits, from 0.
        generator: Draws it.

    Raises:
        ValueError: `deviation` is negative or not finite.
    """

    deviation: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        number(self.deviation, "deviation", least=0)

    def wrap(self, target: Target) -> Target:
        """The target with noise on its logits, stochastic."""
        return derived(target, partial(self._noisy, target), stochastic=True)

    def _noisy(self, target: Target, images: Tensor) -> Tensor:
        logits = target.logits(images)
        noise = torch.randn(logits.shape, generator=self.generator, dtype=logits.dtype, device=logits.device)
        return logits + self.deviation * noise


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:
    """The network of the recipe, with noise."""
    bare = Target(make(recipe, dataset))
    return Defended(LogitNoise(DEVIATION, generator).wrap(bare), bare, randomness_off=bare)
