"""What is measured of networks whose weights are drawn: how right they are, and under attacks on one draw or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.papers.attacked import ADAPTIVE, ONE_DRAW, PUBLISHED, attacked
from bench.papers.drawn_training import HELD_OUT, VALIDATION, VARIANCE, DrawnWeights
from bench.papers.experiment import Arrays, Making, Measured, Run
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.attacks.sparse.local_search import local_search
from plaintext_models.defences.defence import Defended
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.stochastic.moments import expected_squared_error
from plaintext_models.stochastic.votes import averaged, ballots, majority, mean

VOTES = (1, 2, 5, 10, 50)
RADII = (0.1, 0.2, 0.3)
ROUNDS = {True: 30, False: 150}  # of local search, 5 pixels each, by whether it is the quick version
LOCAL = {True: 25, False: 49}  # images that it attacks


@dataclass(frozen=True)
class OfTraining:
    """What is measured of one training.

    Attributes:
        training: The training.
    """

    training: DrawnWeights

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.training.recipe.dataset


@dataclass(frozen=True)
class Accuracy(OfTraining):
    """The accuracy on test images after the last epoch, and the best one on held-out images.

    Attributes:
        votes: How many draws vote.
        tests: How many test images.
    """

    votes: int = 1
    tests: int = 10_000

    def measure(self, run: Run) -> Measured:
        """Train the network, and ask it."""
        return self.unattacked(run)

    def unattacked(self, making: Making) -> Measured:
        """All of it."""
        trained = making.trained(self.training)
        target = self.training.defended(trained.module, torch.Generator().manual_seed(making.seed)).target
        figures: dict[str, Share | float] = {"accuracy": right(target, making, self.tests, self.votes)}
        if self.votes == 1:
            figures["best epoch"] = max(counted(trained.record, VALIDATION), key=lambda share: share.count)
        return Measured(figures)


@dataclass(frozen=True)
class History(OfTraining):
    """What was recorded after every epoch.

    Attributes:
        names: Of which records.
    """

    names: tuple[str, ...]

    def measure(self, run: Run) -> Measured:
        """Train the network."""
        record, figures = run.trained(self.training).record, dict[str, Share | float]()
        for name in self.names:
            values: Sequence[Share | float] = record[name].tolist() if name == VARIANCE else counted(record, name)
            figures |= {f"{name} {epoch}": value for epoch, value in enumerate(values, 1)}
        return Measured(figures)


@dataclass(frozen=True)
class Stable(OfTraining):
    """How long a training goes on with finite numbers."""

    def measure(self, run: Run) -> Measured:
        """Train the network."""
        seen: list[str] = []
        try:
            self.training.fit(Making(run.seed, run.dataset, run.trained, seen.append))
        except FloatingPointError:
            run.report("the loss is no longer finite")
        return Measured({"epochs finished": float(len(seen))})


@dataclass(frozen=True)
class Attacks(OfTraining):
    """Table 2: as it was measured, and as it should be.

    As it was: an attack stops at the first image that fools one draw, images that it does not fool are left out, and
    those that are left are answered by the mean of 1 or of 10 fresh draws.

    Attributes:
        quick: Whether local search is short.
    """

    quick: bool

    def unattacked(self, making: Making) -> Measured:
        """The accuracy of one draw."""
        return Measured({"clean": self._clean(self._defended(making), making)})

    def _defended(self, making: Making) -> Defended:
        module = making.trained(self.training).module
        return self.training.defended(module, torch.Generator().manual_seed(making.seed))

    def _clean(self, defended: Defended, making: Making) -> Share:
        return right(defended.target, making, len(making.dataset.test_images), 1)

    def measure(self, run: Run) -> Measured:
        """Train the network, and attack it in all ways."""
        defended = self._defended(run)
        target, (images, labels) = defended.target, run.attacked()
        goal, few = Goal(labels), LOCAL[self.quick]
        figures: dict[str, Share | float] = {"clean": self._clean(defended, run)}
        run.report("attacks as published")
        found = deepfool(target, images, goal, "l2")
        pixels = Ball("l0", 5 * ROUNDS[self.quick])
        searched = local_search(target, images[:few], Goal(labels[:few]), pixels, seed=run.seed)
        for name, moved, fooled in (
            ("FGSM", *growing(target, images, labels)),
            ("DeepFool", found.x_adv, stopped(found, images)),
            ("LocalSearch", searched.x_adv, stopped(searched, images[:few])),
        ):
            if fooled.any():
                for draws in (1, 10) if self.training.drawn else (1,):
                    answers = mean(ballots(target, moved[fooled], draws))
                    wanted = labels[: len(moved)][fooled]
                    figures[f"{name}, n = {draws}"] = Share(int((answers == wanted).sum()), len(wanted))
            figures[f"{name} fools"] = Share.of(fooled)
        for radius in RADII:
            measured = attacked(defended, run, radius)
            names = {PUBLISHED: f"FGSM {radius}", ADAPTIVE: f"adaptive {radius}", ONE_DRAW: f"one draw {radius}"}
            figures |= {names[name]: figure for name, figure in measured.items() if name in names}
        return Measured(figures)


@dataclass(frozen=True)
class Voted(OfTraining):
    """What votes of several draws change, on clean and on adversarial images."""

    def measure(self, run: Run) -> Measured:
        """Train the network, attack one draw and the mean of many, and let draws vote."""
        module = run.trained(self.training).module
        target = self.training.defended(module, torch.Generator().manual_seed(run.seed)).target
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {}
        for name, moved in (
            ("clean", images),
            ("growing FGSM", growing(target, images, labels)[0]),
            ("mean attacked", through_the_mean(target, images, labels, RADII[0], run.effort)),
        ):
            logits = ballots(target, moved, max(VOTES))
            for draws in VOTES:
                answers = majority(logits[:draws])
                figures[f"{name} {draws}"] = Share.of(answers == labels)
        return Measured(figures)


@dataclass(frozen=True)
class Claims(OfTraining):
    """Accuracy and robustness of one or of 50 draws.

    Attributes:
        votes: How many draws vote.
    """

    votes: int = 1

    def measure(self, run: Run) -> Measured:
        """Train the network, and attack it."""
        module = run.trained(self.training).module
        target = self.training.defended(module, torch.Generator().manual_seed(run.seed)).target
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {"accuracy": right(target, run, 2000, self.votes)}
        for name, moved in (
            ("growing FGSM", growing(target, images, labels)[0]),
            ("mean attacked", through_the_mean(target, images, labels, RADII[0], run.effort)),
        ):
            answers = majority(ballots(target, moved, self.votes))
            figures[name] = Share.of(answers == labels)
        return Measured(figures)


@dataclass(frozen=True)
class Pictures(OfTraining):
    """The first 7 of the test images, and what FGSM makes of it."""

    def measure(self, run: Run) -> Measured:
        """Train the network, and attack one image."""
        module, place = run.trained(self.training).module, int((run.dataset.test_labels == 7).argmax())
        image, label = torch.from_numpy(run.dataset.test_images[place][None]), torch.tensor([7])
        moved, _ = growing(Target(module), image, label)
        figures = {"least radius": float((moved - image).abs().max())}
        return Measured(figures, {"a 7 and its FGSM image": torch.cat([image, moved])[:, 0].numpy()})


@dataclass(frozen=True)
class Theorem:
    """The mean error of a linear model with random weights, by the closed form and by drawing.

    Attributes:
        dataset: The data set that X and y are the beginning of.
        deviation: The standard deviation of every weight.
    """

    dataset: str
    deviation: float

    def measure(self, run: Run) -> Measured:
        """Solve by least squares, and disturb the solution."""
        inputs = torch.from_numpy(run.dataset.train_images[:500]).flatten(1).double()
        outputs = torch.from_numpy(run.dataset.train_labels[:500]).double()
        weights, generator = torch.linalg.lstsq(inputs, outputs[:, None]).solution[:, 0], torch.Generator()
        noise = torch.randn(5000, len(weights), generator=generator.manual_seed(run.seed), dtype=torch.float64)
        errors = (outputs - (weights + self.deviation * noise) @ inputs.T).square().sum(1)
        covariance = self.deviation**2 * torch.eye(len(weights), dtype=torch.float64)
        return Measured(
            {
                "closed form": float(expected_squared_error(inputs, outputs, weights, covariance)),
                "by drawing": float(errors.mean()),
                "deviation of that": float(errors.std()) / len(errors) ** 0.5,
            }
        )


def counted(record: Arrays, name: str) -> list[Share]:
    """The accuracies of a record, one an epoch."""
    held_out, disturbed = map(int, record[HELD_OUT])
    return [Share(int(count), held_out if name == VALIDATION else disturbed) for count in record[name]]


def right(target: Target, run: Making, tests: int, votes: int) -> Share:
    """How many of the first test images most of some draws answer rightly."""
    images, labels = (torch.from_numpy(part[:tests]) for part in (run.dataset.test_images, run.dataset.test_labels))
    answers = torch.cat([majority(ballots(target, part, votes)) for part in images.split(1000)])
    return Share.of(answers == labels)


def growing(target: Target, images: Tensor, labels: Tensor, levels: int = 1000) -> tuple[Tensor, Tensor]:
    """FGSM with the least of so many equally spaced radii that fools one forward: the images, and whether it did.

    Images that are wrong to begin with stay as they are, and count as fooled.
    """
    gradient, logits = target.gradient(images, lambda answers: cross_entropy(answers, labels))
    low, high = target.limits(images)
    moved, fooled = images.clone(), logits.argmax(1) != labels
    for level in range(1, levels + 1):
        rows = (~fooled).nonzero().squeeze(1)
        if not len(rows):
            break
        step = level / levels * (high - low) * gradient[rows].sign()
        moved[rows] = (images[rows] + step).clamp(low, high)
        with torch.no_grad():
            fooled[rows] = target.logits(moved[rows]).argmax(1) != labels[rows]
    return moved, fooled


def stopped(found: AttackResult, images: Tensor) -> Tensor:
    """Which images [batch] an attack moved over a boundary, of the draw that it saw: a fresh one may see another."""
    return found.success | (found.x_adv != images).flatten(1).any(1)


def through_the_mean(target: Target, images: Tensor, labels: Tensor, radius: float, effort: Effort) -> Tensor:
    """Images made against the mean of a target's answers, over the draws and by the steps of a card's PGD."""
    known = averaged(target, effort.draws) if target.stochastic else target
    return ascend(known, images, Goal(labels), Ball("linf", radius), steps=effort.steps, generator=torch.Generator())
