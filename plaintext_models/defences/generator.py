"""T27, a generator beside the classifier: it learns to make perturbations while the classifier learns to stand them.

Lee, Han and Lee, "Generative adversarial trainer: defense to adversarial perturbations with GAN" (arXiv:1705.03387).
The generator sees the gradient of the classifier's loss by the image, as in the paper; here its perturbations lie in an
Linf ball, where the paper only punishes their length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.attacks.core.norms import TINY
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import RADII
from plaintext_models.defences.defence import Defended
from plaintext_models.determinism import deterministic
from plaintext_models.training.adversarial import mixed
from plaintext_models.training.loop import Batch, BatchHook, cross_entropy
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

MAPS = 16  # of the generator's hidden convolution
RATE = 1e-3  # of its optimiser, Adam


@dataclass(frozen=True)
class Generator:
    """A small convolutional generator that is trained by turns with the classifier.

    Attributes:
        radius: Of the Linf ball that perturbations stay in, from 0.
        clean: The weight of the clean images' loss, from 0 to 1; the paper's alpha.
        length: The weight of the perturbation's mean square in the generator's loss, from 0.

    Raises:
        ValueError: A number is out of range.
    """

    radius: float
    clean: float = 0.5
    length: float = 0.0

    def __post_init__(self) -> None:
        number(self.radius, "radius", least=0)
        number(self.clean, "clean", least=0, most=1)
        number(self.length, "length", least=0)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The classifier of a recipe; the generator is dropped."""

        def hook(module: nn.Module) -> BatchHook:
            return self.beside(module, dataset.input_shape[0], recipe.seed)

        return make(
            recipe, dataset, report=report, batch=hook, loss=lambda module: mixed(module, cross_entropy, self.clean)
        )

    def beside(self, module: nn.Module, channels: int, seed: int) -> BatchHook:
        """The hook that trains the generator by a step on every batch, and gives the batch that it made before.

        Args:
            module: The classifier, which is asked in evaluation mode and goes on to train in the mode that it had.
            channels: How many channels its images have.
            seed: Determines the generator's first weights.
        """
        with deterministic(seed):
            first, second = (nn.Conv2d(*maps, 3, padding=1) for maps in ((channels, MAPS), (MAPS, channels)))
            generator = nn.Sequential(first, nn.ReLU(), second, nn.Tanh())
        optimiser = torch.optim.Adam(generator.parameters(), RATE)

        def moved(batch: Batch) -> Tensor:
            mode = module.training
            module.eval()
            try:
                slope, _ = Target(module).gradient(
                    batch.images, lambda logits: functional.cross_entropy(logits, batch.labels, reduction="none")
                )
                seen = slope / slope.abs().amax((1, 2, 3), keepdim=True).clamp_min(TINY)
                change = self.radius * generator(seen)
                images = (batch.images + change).clamp(0, 1)
                loss = self.length * change.square().mean() - cross_entropy(module(images), batch)
                optimiser.zero_grad()
                for weights, gradient in zip(
                    generator.parameters(), torch.autograd.grad(loss, list(generator.parameters())), strict=True
                ):
                    weights.grad = gradient  # of the generator alone: the classifier's gradients are not touched
                optimiser.step()
                return images.detach()
            finally:
                module.train(mode)

        return moved


def defend(recipe: Recipe, dataset: Dataset, generator: torch.Generator) -> Defended:  # noqa: ARG001 - as all
    """A generator within a radius that suits the data set."""
    return Defended(Target(Generator(RADII[dataset.name]).train(recipe, dataset)))
