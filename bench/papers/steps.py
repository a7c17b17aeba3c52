"""What is measured of how networks answer to one step of the gradient's sign, and of what explains it.

Errors are as published: images are moved by the whole radius, beyond 0 and 1. Beside them stand those of images that
stay in [0, 1], as those of the card do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.papers.experiment import Making, Measured, Run
from bench.papers.fitted import Fitted
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.rotation import rotate
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.losses import logit, margin
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.agreement import agreement
from plaintext_models.evaluation.confidence import Probabilities, confidence, rubbish, softmax
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import evaluate
from plaintext_models.evaluation.trace import along, straightness
from plaintext_models.nets.ensemble import Ensemble
from plaintext_models.nets.logistic import Logistic
from plaintext_models.nets.rbf import Rbf

RADIUS = 0.25  # the paper's
WIDE = (-100.0, 101.0)  # bounds that clip nothing
SAMPLES = 2000  # images of noise, and of the training part

Figures = dict[str, Share | float]


@dataclass(frozen=True)
class OfTraining:
    """What is measured of one training.

    Attributes:
        training: The training.
    """

    training: Fitted

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.training.recipe.dataset


@dataclass(frozen=True)
class OneStep(OfTraining):
    """Errors and confidences as they are, under one step, and in the worst case of the card.

    Attributes:
        other: The training of another network, whose adversarial images are tried; None for none.
        learnt: Whether the error on training images is told, too.
    """

    other: Fitted | None = None
    learnt: bool = False

    def measure(self, run: Run) -> Measured:
        """Train the network, and attack it."""
        module, (images, labels) = run.trained(self.training).module, self._images(run)
        sure = probabilities(module)
        figures: Figures = {}
        for name, moved in (
            ("", images),
            ("FGSM", stepped(module, images, labels)),
            ("clipped", kept(module, images, labels)),
        ):
            with torch.no_grad():
                logits = module(moved)
            wrong = logits.argmax(1) != labels
            figures[f"error {name}".strip()] = Share.of(wrong)
            counted = wrong if name else torch.ones_like(wrong)  # of clean images, the confidence of all
            if counted.any():
                figures[f"confidence {name}".strip()] = 100 * confidence(logits, counted, sure)
        if self.other is not None:
            known = run.trained(self.other).module
            for name, make in (("from the other", stepped), ("from the other, clipped", kept)):
                figures[name] = Share.of(_wrong(module, make(known, images, labels), labels))
        if self.learnt:
            used = self.training.data(run.dataset)
            few, told = (torch.from_numpy(part[:SAMPLES]) for part in (used.train_images, used.train_labels))
            figures["training error"] = Share.of(_wrong(module, few, told))
        return Measured({**figures, "adaptive": worst(module, images, labels, run)})

    def unattacked(self, making: Making) -> Measured:
        """The error."""
        images, labels = self._tests(making)
        return Measured({"error": Share.of(_wrong(making.trained(self.training).module, images, labels))})

    def _images(self, run: Run) -> tuple[Tensor, Tensor]:
        images, labels = self._tests(run)
        return images[: run.images], labels[: run.images]

    def _tests(self, making: Making) -> tuple[Tensor, Tensor]:
        used = self.training.data(making.dataset)
        return torch.from_numpy(used.test_images), torch.from_numpy(used.test_labels)


@dataclass(frozen=True)
class Growth(OfTraining):
    """How far a step moves the activation of a logistic regression, and what mean weight and size say of it."""

    def measure(self, run: Run) -> Measured:
        """Train it, and move images along its weights."""
        module, (images, _) = run.trained(self.training).module, run.attacked()
        assert isinstance(module, Logistic)
        weight = module.map.weight.detach()
        moved = images + RADIUS * weight.sign().reshape(images.shape[1:])
        with torch.no_grad():
            growth = module.activation(moved) - module.activation(images)
        return Measured(
            {
                "radius x mean weight x size": RADIUS * float(weight.abs().mean()) * weight.numel(),
                "growth": float(growth.mean()),
                "activation": float(module.activation(images).detach().abs().mean()),
            }
        )


@dataclass(frozen=True)
class Turning(OfTraining):
    """Errors on images that are turned towards the gradient.

    Attributes:
        angles: By which angles, radians.
    """

    angles: tuple[float, ...]

    def measure(self, run: Run) -> Measured:
        """Train the network, and turn images."""
        module, (images, labels) = run.trained(self.training).module, run.attacked()
        target, goal = Target(module, bounds=WIDE), Goal(labels)
        figures: Figures = {"FGSM": Share.of(_wrong(module, stepped(module, images, labels), labels))}
        for angle in self.angles:
            figures[f"turned {angle:g}"] = Share.of(_wrong(module, rotate(target, images, goal, angle), labels))
        return Measured({**figures, "adaptive": worst(module, images, labels, run)})


@dataclass(frozen=True)
class Agreeing:
    """Whether shallow networks answer as a deep one does, on images that were made against that one.

    Attributes:
        deep: The training of the deep network.
        linear: The training of the shallow softmax.
        radial: The training of the radial basis functions.
    """

    deep: Fitted
    linear: Fitted
    radial: Fitted

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.deep.recipe.dataset

    def measure(self, run: Run) -> Measured:
        """Train all three, and compare what they answer."""
        deep, linear, radial = (run.trained(one).module for one in (self.deep, self.linear, self.radial))
        images, labels = run.attacked()
        moved = stepped(deep, images, labels)
        with torch.no_grad():
            answers = [module(moved).argmax(1) for module in (deep, linear, radial)]
        softmaxes, radials = (agreement(answers[place], answers[0], labels) for place in (1, 2))
        both = agreement(answers[2], answers[1], labels)
        figures = {
            "softmax, mistakes": softmaxes.on_mistakes,
            "RBF, mistakes": radials.on_mistakes,
            "softmax, both wrong": softmaxes.both_wrong,
            "RBF, both wrong": radials.both_wrong,
            "RBF with softmax": both.both_wrong,
        }
        return Measured({name: share for name, share in figures.items() if share.n})


@dataclass(frozen=True)
class Tracing(OfTraining):
    """Answers along a line through images, in the direction of the gradient's sign.

    Attributes:
        distances: The places on it, evenly spaced.
    """

    distances: tuple[float, ...]

    def measure(self, run: Run) -> Measured:
        """Train the network, and walk."""
        module, (images, labels) = run.trained(self.training).module, run.attacked()
        logits = along(Target(module), images, Goal(labels), self.distances)
        halves = [logits[[place for place, t in enumerate(self.distances) if sign * t >= 0]] for sign in (-1, 1)]
        figures: Figures = {"straight": sum(map(straightness, halves)) / 2}
        for distance, one in zip(self.distances, logits, strict=True):
            figures[f"right {distance:g}"] = Share.of(one.argmax(1) == labels)
            own = logit(one, labels)
            figures[f"own {distance:g}"] = float(own.mean())
            figures[f"best other {distance:g}"] = float((own + margin(one, labels)).mean())
        return Measured(figures)


@dataclass(frozen=True)
class Together(OfTraining):
    """An ensemble, attacked as a whole or through one member.

    Attributes:
        members: How many there are.
    """

    members: int

    def measure(self, run: Run) -> Measured:
        """Train all members, and attack them."""
        trainings = [
            Fitted(self.training.recipe, self.training.how, self.training.part, self.training.classes, member)
            for member in range(self.members)
        ]
        ensemble = Ensemble([run.trained(training).module for training in trainings]).eval()
        images, labels = run.attacked()
        figures: Figures = {"error": Share.of(_wrong(ensemble, images, labels))}
        attackers = {"whole": ensemble} | ({"one member": ensemble.members[0]} if self.members > 1 else {})
        for name, known in attackers.items():
            figures[name] = Share.of(_wrong(ensemble, stepped(known, images, labels), labels))
            figures[f"{name}, clipped"] = Share.of(_wrong(ensemble, kept(known, images, labels), labels))
        return Measured({**figures, "adaptive": worst(ensemble, images, labels, run)})


@dataclass(frozen=True)
class Nothing(OfTraining):
    """How often noise is taken for a class."""

    def measure(self, run: Run) -> Measured:
        """Train the network, and show it noise."""
        module = run.trained(self.training).module
        generator = torch.Generator().manual_seed(run.seed)
        share, sure = rubbish(Target(module), run.dataset.input_shape, SAMPLES, generator, probabilities(module))
        figures: Figures = {"error": share}
        return Measured(figures if math.isnan(sure) else {**figures, "confidence": 100 * sure})


def stepped(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Images moved by the whole radius, whatever their elements become."""
    return _moved(Target(module, bounds=WIDE), images, labels)


def kept(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Images moved by the radius, within [0, 1]."""
    return _moved(Target(module), images, labels)


def worst(module: nn.Module, images: Tensor, labels: Tensor, run: Run) -> Share:
    """The error in the worst case of a card, within [0, 1]."""
    ball = Ball("linf", RADIUS)
    card = evaluate(Target(module), images, labels, ball, seed=run.seed, report=run.report, effort=run.effort)
    return Share.of(card.nearest <= card.radius)


def probabilities(module: nn.Module) -> Probabilities:
    """What a network's logits stand for."""
    return torch.sigmoid if isinstance(module, Rbf) else softmax


def _moved(target: Target, images: Tensor, labels: Tensor) -> Tensor:
    generator = torch.Generator()
    return ascend(target, images, Goal(labels), Ball("linf", RADIUS), steps=1, generator=generator, random_start=False)


def _wrong(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        wrong: Tensor = module(images).argmax(1) != labels
    return wrong
