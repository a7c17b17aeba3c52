"""C10, training on images of a generative adversarial network's generator, beside the real ones.

Goodfellow et al., "Generative adversarial nets" (arXiv:1406.2661), told the class as by Mirza and Osindero
(arXiv:1411.1784). The report calls it future work and gives no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversaries import image_generator
from plaintext_models.defences.defence import Defended
from plaintext_models.training.adversarial import mixed
from plaintext_models.training.loop import Batch, cross_entropy
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

STEPS = {"digits": 600}  # of the generator; others: OTHERWISE
OTHERWISE = 10_000


@dataclass(frozen=True)
class Generated:
    """Training on a batch and on generated images of the same classes.

    Attributes:
        steps: How long the generator is trained before, from 1.
        clean: The weight of the real images' loss, from 0 to 1.

    Raises:
        ValueError: `clean` is out of range.
    """

    steps: int
    clean: float = 0.5

    def __post_init__(self) -> None:
        number(self.clean, "clean", least=0, most=1)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so; the generator is dropped."""
        images, labels = torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
        generator = image_generator(images, labels, dataset.classes, steps=self.steps, seed=recipe.seed)

        def made(batch: Batch) -> Tensor:
            return generator.drawn(batch.labels, batch.generator)

        return make(
            recipe,
            dataset,
            report=report,
            batch=lambda _: made,
            loss=lambda module: mixed(module, cross_entropy, self.clean),
        )


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """A generator that is trained as long as the data set needs."""
    return Defended(Target(Generated(STEPS.get(dataset.name, OTHERWISE)).train(recipe, dataset)))
