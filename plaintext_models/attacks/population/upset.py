"""UPSET: a network that makes one perturbation for every target class (Sarkar et al., arXiv:1707.01159)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import within_norm
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.search import Search
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import deterministic


@dataclass(frozen=True, eq=False)
class Upset:
    """Perturbations that lead to classes.

    Attributes:
        generator: Maps one-hot classes [batch, classes] to perturbations from -1 to 1, [batch, elements].
        perturbations: [classes, *shape], in the Linf ball.
    """

    generator: nn.Module
    perturbations: Tensor

    @entrance
    def attack(self, target: Target, images: Tensor, goal: Goal) -> AttackResult:
        """Add to images the perturbation of their target, or, where any wrong class will do, try one after the other.

        Args:
            target: A model, which need not be the one trained against and need not have gradients.
            images: [batch, *shape], within its bounds.
            goal: What is to be reached, for every image.

        Raises:
            ValueError: Where `start` raises it.
        """
        search = Search(target, images, goal)
        classes = len(self.perturbations)
        for turn in range(1, classes) if goal.targets is None else (0,):
            rows = search.rows
            if not len(rows):
                break
            moves = self.perturbations[(goal.classes[rows] + turn) % classes].to(images)
            search.ask(rows, (images[rows] + moves).clamp(*target.limits(images)))
            search.iterations[rows] += 1
        return search.conclude()


@entrance
def upset(
    target: Target,
    images: Tensor,
    ball: Ball,
    *,
    weight: float = 0.0,
    hidden: int = 64,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> Upset:
    """Train the generator: images with a random class's perturbation shall be classified as that class.

    Loss: cross-entropy of the wanted class plus `weight` times the squared Euclidean length of what is changed, the
    paper's equations 4 and 5 for a single model; by Adam.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds; they need no labels.
        ball: The ball around every image; its norm is "linf", and its radius is the paper's s.
        weight: The weight of the squared length, from 0; the paper's w.
        hidden: The width of the generator's hidden layer, from 1.
        epochs: How many passes over the images, from 1.
        batch_size: Images of one step, from 1.
        learning_rate: The learning rate of Adam, positive.
        seed: The seed of the weights, of the order of the images and of their classes.

    Raises:
        TypeError: The target has no gradients; or where `Target.check` raises it.
        ValueError: A number is out of range; or where `Target.check` raises it.
    """
    within_norm(ball, ("linf",))
    radius = ball.require_one_radius()
    for name, value in (("hidden", hidden), ("epochs", epochs), ("batch_size", batch_size)):
        integer(value, name, 1)
    number(weight, "weight", least=0)
    number(learning_rate, "learning_rate", above=0)
    integer(seed, "seed")
    target.require_gradients()
    device, shape = images.device, images.shape[1:]
    classes = target.check(images, torch.zeros(len(images), dtype=torch.int64, device=device)).shape[1]
    codes = torch.eye(classes, device=device, dtype=images.dtype)
    with deterministic(seed):
        generator = nn.Sequential(
            nn.Linear(classes, hidden), nn.ReLU(), nn.Linear(hidden, shape.numel()), nn.Tanh()
        ).to(images)
        optimiser = torch.optim.Adam(generator.parameters(), learning_rate)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).to(device).split(batch_size):
                clean, wanted = images[batch], torch.randint(classes, batch.shape).to(device)
                moved = (clean + radius * generator(codes[wanted]).reshape(clean.shape)).clamp(*target.limits(images))
                # the target's gradient by the images, handed on to the generator: its weights stay out of the graph
                gradient, _ = target.gradient(moved, partial(cross_entropy, classes=wanted))
                fidelity = weight * (moved - clean).square().sum()
                optimiser.zero_grad()
                (((moved * gradient).sum() + fidelity) / len(batch)).backward()
                optimiser.step()
    generator.eval().requires_grad_(False)
    return Upset(generator, radius * generator(codes).reshape(classes, *shape))
