"""Attacks on a black box by way of a substitute model that is trained on its answers (Papernot, arXiv:1602.02697)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.values.arrays import instance, integer
from plaintext_models.attacks.black_box.transfer import transferred
from plaintext_models.attacks.core.attack import Attack
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import logit
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import deterministic


@dataclass(frozen=True)
class Substitute:
    """A model with gradients in place of one without.

    Attributes:
        target: The substitute, differentiable.
        oracle: The model whose answers it learnt.
        queries: Answers that it took.
        agreement: After every round, how often it answers as the oracle does on the images of that round.
    """

    target: Target
    oracle: Target
    queries: int
    agreement: tuple[float, ...]

    @entrance
    def attack(self, images: Tensor, goal: Goal, attack: Attack) -> AttackResult:
        """Attack the substitute, and judge what is found on the oracle; see `transferred`."""
        return transferred(self.target, self.oracle, images, goal, attack)


@entrance
def substitute(
    oracle: Target,
    images: Tensor,
    factory: Callable[[], nn.Module],
    *,
    rounds: int = 4,
    step: float = 0.1,
    limit: int | None = None,
    probabilities: bool = False,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> Substitute:
    """Train a model on an oracle's answers, and ask it for more where the model's answer changes most.

    After every round but the last, each image x so far begets x + step * sign(gradient, by x, of the substitute's logit
    of the oracle's class): Jacobian-based augmentation, with which the images double.

    Args:
        oracle: Queried once for every image.
        images: What the attacker has to begin with, [batch, *shape], within the bounds.
        factory: Makes the substitute, untrained; called once, with torch's generator seeded.
        rounds: How many rounds of training, from 1.
        step: The length of a step of the augmentation in every element, not negative.
        limit: The most queries, at least as many as images; images beyond are left out at random. None sets no limit.
        probabilities: Whether the answers hold logits, whose softmax is learnt; else the class alone is used.
        epochs: How many passes a round takes, from 1.
        batch_size: Images of one step, from 1.
        learning_rate: The learning rate of Adam, positive.
        seed: The seed of the weights, of the order of the images, and of which are left out.

    Raises:
        TypeError: `factory` does not make modules; or where `Target.check` raises it.
        ValueError: A number is out of range, or the substitute has not the oracle's classes; or where `Target.check`
            raises it.
    """
    for name, value in (("rounds", rounds), ("epochs", epochs), ("batch_size", batch_size)):
        integer(value, name, 1)
    number(step, "step", least=0)
    number(learning_rate, "learning_rate", above=0)
    integer(seed, "seed")
    if isinstance(factory, nn.Module):
        raise TypeError("`factory` must be a function that makes a module, got a module; give its class, or a lambda")
    if limit is not None:
        integer(limit, "limit", len(images))
    oracle.check(images, torch.zeros(len(images), dtype=torch.int64, device=images.device))
    answers = _answers(oracle, images, probabilities)
    agreement = []
    with deterministic(seed):
        module = instance(factory(), nn.Module, "factory()").to(images)
        for last in range(rounds - 1, -1, -1):
            _learn(module, images, answers, epochs, batch_size, learning_rate)
            model, classes = Target(module, bounds=oracle.bounds, levels=oracle.levels), answers.argmax(1)
            with torch.no_grad():
                agreement.append(float((model.logits(images).argmax(1) == classes).double().mean()))
            room = len(images) if limit is None else min(len(images), limit - len(images))
            if not last or not room:
                continue
            gradient, _ = model.gradient(images, partial(logit, classes=classes))
            kept = torch.randperm(len(images))[:room].to(images.device)
            fresh = (images + step * gradient.sign())[kept].clamp(*oracle.limits(images))
            images, answers = torch.cat([images, fresh]), torch.cat([answers, _answers(oracle, fresh, probabilities)])
    return Substitute(model, oracle, len(images), tuple(agreement))


def _answers(oracle: Target, images: Tensor, probabilities: bool) -> Tensor:
    """What the oracle says, as a distribution over classes [batch, classes]."""
    with torch.no_grad():
        logits = oracle.logits(images)
    return (
        logits.softmax(1).to(images.dtype)
        if probabilities
        else functional.one_hot(logits.argmax(1), logits.shape[1]).to(images.dtype)
    )


def _learn(
    module: nn.Module, images: Tensor, answers: Tensor, epochs: int, batch_size: int, learning_rate: float
) -> None:
    """Minimise the cross-entropy by Adam, started afresh; draws from torch's generator, ends in evaluation mode."""
    optimiser = torch.optim.Adam(module.parameters(), learning_rate)
    module.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).to(images.device).split(batch_size):
            optimiser.zero_grad()
            logits = module(images[batch])
            if logits.shape != answers[batch].shape:
                expected = tuple(answers[batch].shape)
                raise ValueError(f"what `factory` makes must give logits {expected}, got {tuple(logits.shape)}")
            functional.cross_entropy(logits, answers[batch]).backward()
            optimiser.step()
    module.eval()
