"""T25, defensive distillation: a second network learns the first one's probabilities, both at a high temperature.

Papernot et al., "Distillation as a defense to adversarial perturbations against deep neural networks"
(arXiv:1511.04508). It was broken by Carlini and Wagner (arXiv:1608.04644): at temperature 1 the logits are so large
that the softmax, and with it the gradient of the cross-entropy, has no digits left. The logits have all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.attacks.core.derived import derived
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

TEMPERATURE = 20.0  # the paper's for MNIST


@dataclass(frozen=True)
class Distillation:
    """Teacher and student have the network, the recipe and the initial weights in common.

    Attributes:
        temperature: Logits are divided by it in both trainings, and not afterwards; positive.

    Raises:
        ValueError: `temperature` is not positive.
    """

    temperature: float = TEMPERATURE

    def __post_init__(self) -> None:
        number(self.temperature, "temperature", above=0)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The student, whose logits are those of temperature 1."""
        teacher = make(recipe, dataset, report=report, loss=self.loss)
        with torch.no_grad():
            answers = (teacher(torch.from_numpy(dataset.train_images)) / self.temperature).softmax(1)
        return make(recipe, dataset, report=report, loss=self.loss, answers=answers)

    def loss(self, _: nn.Module) -> LossHook:
        """Cross-entropy at the temperature, of classes or of probabilities."""

        def tempered(logits: Tensor, batch: Batch) -> Tensor:
            return functional.cross_entropy(logits / self.temperature, batch.labels)

        return tempered

    def undone(self, target: Target) -> Target:
        """The student with its logits divided by the temperature: the same classes, and gradients that have digits."""
        return derived(target, partial(_divided, target, self.temperature))


def _divided(target: Target, temperature: float, images: Tensor) -> Tensor:
    return target.logits(images) / temperature


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """The student with its logits divided, since that is what an attacker who knows would attack; bare, it is not."""
    distillation = Distillation()
    published = Target(distillation.train(recipe, dataset))
    return Defended(distillation.undone(published), bare=published)
