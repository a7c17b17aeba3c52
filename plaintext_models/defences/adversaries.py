"""Training of a generative adversarial network (Goodfellow et al., arXiv:1406.2661) that is told the class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from intnn.values.arrays import integer
from plaintext_models.determinism import deterministic
from plaintext_models.nets.adversaries import Discriminator, ImageGenerator

RATE, MOMENTS = 1e-3, (0.5, 0.999)  # of Adam; the moments are those of Radford et al., arXiv:1511.06434


def image_generator(
    images: Tensor, labels: Tensor, classes: int, *, steps: int, seed: int, batch_size: int = 64
) -> ImageGenerator:
    """Train a generator by turns with a discriminator, which learns to tell its images from real ones.

    The generator's loss is -log D(G(z)), which has gradients where D is sure. Two optimisers take turns here, so that
    it is no training of `loop.minimise`.

    Args:
        images: float32 [n, *shape] in [0, 1].
        labels: Their classes, int64 [n].
        classes: How many classes there are.
        steps: How many steps both take, from 1.
        seed: Determines everything.
        batch_size: Images of one step, from 2.

    Returns:
        The generator, in evaluation mode.

    Raises:
        ValueError: A number is out of range.
        FloatingPointError: A loss is no longer finite; the message names the step.
    """
    integer(steps, "steps", 1)
    integer(batch_size, "batch_size", 2, len(images))
    with deterministic(seed):
        generator = ImageGenerator(tuple(images.shape[1:]), classes)
        critic = Discriminator(tuple(images.shape[1:]), classes)
        makes, tells = (torch.optim.Adam(one.parameters(), RATE, MOMENTS) for one in (generator, critic))
        for step in range(steps):
            rows = torch.randint(len(images), (batch_size,))
            made = generator(torch.randn(batch_size, generator.noise), labels[rows])
            real, false = critic(images[rows], labels[rows]), critic(made.detach(), labels[rows])
            told = _loss(real, 1.0) + _loss(false, 0.0)
            tells.zero_grad()
            told.backward()
            tells.step()
            fooled = _loss(critic(made, labels[rows]), 1.0)
            makes.zero_grad()
            fooled.backward()
            makes.step()
            if not torch.isfinite(told + fooled):
                raise FloatingPointError(f"the losses must stay finite, got {told}, {fooled} in step {step + 1}")
    return generator.eval().requires_grad_(False)


def _loss(logits: Tensor, wanted: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
