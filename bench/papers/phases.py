"""Training in two phases, first on clean images and then on adversarial ones, as chapter 5 of the thesis has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.papers.experiment import Making, Trained
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import Share
from plaintext_models.nets.builders import build
from plaintext_models.training.adversarial import attacked
from plaintext_models.training.loop import BatchHook, EpochRecord, minimise

FOOLED = 0.56  # of the images, on the shallow network, by the attack whose radius is searched
LARGEST = 0.3  # radius that is looked at
HALVINGS = 7


@dataclass(frozen=True)
class Network:
    """A network of `plaintext_models.nets.cnn.stacked_cnn`.

    Attributes:
        channels: Maps of every convolution.
        hidden: The width of the hidden layer.
        dropout: What is dropped in training, behind the pooling and behind the hidden layer.
    """

    channels: tuple[int, ...]
    hidden: int
    dropout: tuple[float, float] = (0.25, 0.5)

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        dataset, options = making.dataset, vars(self)
        return build("stacked_cnn", dataset.input_shape, dataset.classes, **options).eval()


@dataclass(frozen=True)
class Budget:
    """How much is trained.

    Attributes:
        images: The first so many of the training part.
        held_out: So many behind them, which no training sees; a radius is searched on them.
        clean: Epochs on clean images.
        adversarial: Epochs on adversarial images.
        steps: Of the attack in training.
        attack: Steps of the attack whose success is counted.
        batch: Images of a step.
        rate: The peak of the schedule.
    """

    images: int
    held_out: int
    clean: int
    adversarial: int
    steps: int
    attack: int
    batch: int
    rate: float

    def training(self, making: Making) -> tuple[Tensor, Tensor]:
        """Images and labels to train on."""
        return _part(making, slice(self.images))

    def validation(self, making: Making) -> tuple[Tensor, Tensor]:
        """Images and labels to look at meanwhile."""
        return _part(making, slice(self.images, self.images + self.held_out))


def _part(making: Making, part: slice) -> tuple[Tensor, Tensor]:
    dataset = making.dataset
    return torch.from_numpy(dataset.train_images[part]), torch.from_numpy(dataset.train_labels[part])


@dataclass(frozen=True)
class Clean:
    """The first phase.

    Attributes:
        network: What is trained.
        budget: How much.
    """

    network: Network
    budget: Budget

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return self.network.build(making)

    def fit(self, making: Making) -> Trained:
        """The network after the first phase; its record is that of `phase`."""
        return phase(self.build(making), making, self.budget, self.budget.clean)


@dataclass(frozen=True)
class Hardened:
    """The second phase, which goes on with the network of the first.

    Attributes:
        before: The first phase.
        radius: Of the attack's Linf ball; None for where it fools `FOOLED` of the held-out images on `reference`.
        reference: The network that the radius is searched on.
    """

    before: Clean
    radius: float | None
    reference: Clean

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return self.before.build(making)

    def fit(self, making: Making) -> Trained:
        """The network after the second phase; its record is that of `phase`, and the radius."""
        budget = self.before.budget
        radius = searched(making, self.reference) if self.radius is None else self.radius
        module = making.trained(self.before).module
        hook = attacked(module, Ball("linf", radius), steps=budget.steps, ramp=0.0)
        found = phase(module, making, budget, budget.adversarial, (hook,))
        return Trained(found.module, {**found.record, "radius": np.array(radius)})


def phase(module: nn.Module, making: Making, budget: Budget, epochs: int, hooks: Iterable[BatchHook] = ()) -> Trained:
    """Train a module, and record "training" and "held-out" accuracy [epochs].

    The first is that of the batches as they were trained on, attacked and with dropout, as libraries show it; the
    second that of clean images.
    """
    validation, held_out = budget.validation(making), []

    def look(epoch: int, record: EpochRecord) -> None:
        module.eval()
        held_out.append(right(module, *validation).value)
        module.train()
        making.report(f"epoch {epoch} of {epochs}: loss {record.loss:.3f}")

    history = minimise(
        module,
        *budget.training(making),
        epochs=epochs,
        batch_size=budget.batch,
        learning_rate=budget.rate,
        seed=making.seed,
        batch=tuple(hooks),
        after_epoch=look,
        progress=False,
    )
    return Trained(module, {"training": np.array([one.accuracy for one in history]), "held-out": np.array(held_out)})


def right(module: nn.Module, images: Tensor, labels: Tensor) -> Share:
    """How many of some images [n, *shape] a module answers with their labels [n]."""
    with torch.no_grad():
        answers = torch.cat([module(part).argmax(1) for part in images.split(500)])
    return Share.of(answers == labels)


def fooled(module: nn.Module, images: Tensor, labels: Tensor, radius: float, steps: int, seed: int) -> Share:
    """How many of the images that are right a PGD attacker in an Linf ball finds an adversarial image for."""
    known, standing = under_attack(module, images, labels, radius, steps, seed)
    return Share(int((known & ~standing).sum()), int(known.sum()))


def under_attack(
    module: nn.Module, images: Tensor, labels: Tensor, radius: float, steps: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Which images [n] are right, and which of them stay so within an Linf ball that a PGD attacker searches."""
    with torch.no_grad():
        known: Tensor = module(images).argmax(1) == labels
    standing = known.clone()
    if known.any():
        goal, ball = Goal(labels[known]), Ball("linf", radius)
        standing[known] = ~pgd(Target(module), images[known], goal, ball, steps=steps, seed=seed).success
    return known, standing


def searched(making: Making, reference: Clean) -> float:
    """The radius at which the attack fools `FOOLED` of the held-out images, by bisection up to `LARGEST`."""
    module, (images, labels) = making.trained(reference).module, reference.budget.validation(making)
    low, high = 0.0, LARGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        making.report(f"searching a radius: {middle:.3f}")
        share = fooled(module, images, labels, middle, reference.budget.attack, making.seed)
        low, high = (low, middle) if share.value > FOOLED else (middle, high)
    return (low + high) / 2
