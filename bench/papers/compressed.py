"""T, chapter 5: what networks keep when weights are removed or rounded, or when a smaller one learns from a larger one.

Beside what the document quotes, the same networks under an attack.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Making, Measured, Order, Run, Scale, Setting, Subject, Trained
from bench.papers.phases import Budget, Clean, Network, right, under_attack
from plaintext_models.evaluation.judge import Share
from plaintext_models.training.compression import Saliency, chance, curvature, magnitude, prune, quantise
from plaintext_models.training.loop import Batch, LossHook, cross_entropy, minimise

FULL = Budget(58_000, 2000, 12, 0, 0, 40, 128, 1e-3)
FULL_CIFAR = replace(FULL, images=48_000)
QUICK = Budget(2000, 300, 12, 0, 0, 10, 64, 3e-3)
SMALLER = "a quarter of the filters, 2,000 training images, an attack of 10 steps, no CIFAR-10"
RETRAINED = 4  # one epoch of retraining for so many of training
JUDGED = 60  # test images for each that is attacked, whose accuracy is that without an attack
LOOKED_AT = 256  # training images that a curvature is the mean of
RADII = {"mnist": 0.1, "cifar10": 8 / 255}  # Linf, ours: the document attacks nothing here
TEMPERATURE = 4.0  # ours: the document has a formula, and no number

REMOVED = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.923)  # 30 %, and from 9 to 13 times fewer
BITS = (2.0, 3.0, 4.0, 8.0)
WIDTHS = (0.25, 0.5, 1.0)

SALIENCIES: Mapping[str, Saliency] = MappingProxyType(
    {"at random": chance, "magnitude": magnitude, "curvature": curvature}
)


@dataclass(frozen=True)
class Distilled:
    """A network that learns the probabilities of a larger one, at a temperature.

    Attributes:
        student: The network that learns, and how long.
        teacher: The larger one.
    """

    student: Clean
    teacher: Clean

    def build(self, making: Making) -> nn.Module:
        """The student before it is trained."""
        return self.student.build(making)

    def fit(self, making: Making) -> Trained:
        """The student after its training."""
        module, teacher = self.build(making), making.trained(self.teacher).module
        images, _ = self.student.budget.training(making)
        with torch.no_grad():
            answers = torch.cat([teacher(part) for part in images.split(500)]).div(TEMPERATURE).softmax(1)
        _train(module, images, answers, self.student.budget, self.student.budget.clean, making.seed, _tempered)
        return Trained(module)


@dataclass(frozen=True)
class Pruned:
    """A network without some of its weights.

    Attributes:
        before: The whole network, and its training.
        saliency: A key of `SALIENCIES`.
        retrained: Whether it is trained once more without them.
        dataset: The name of the data set.
    """

    before: Clean
    saliency: str
    retrained: bool = False
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """Accuracy with and without an attack, at every share of weights removed."""
        whole, budget = run.trained(self.before).module, self.before.budget
        images, labels = budget.training(run)
        generator = torch.Generator().manual_seed(run.seed)
        saliency = SALIENCIES[self.saliency](whole, images[:LOOKED_AT], labels[:LOOKED_AT], generator)
        figures: dict[str, Share | float] = {}
        for removed in REMOVED:
            run.report(f"{removed:g} removed")
            module = prune(copy.deepcopy(whole), saliency, removed)
            if self.retrained:
                _train(module, images, labels, budget, max(1, budget.clean // RETRAINED), run.seed)
            figures |= _judged(run, module, budget, f"{removed:g}", "removed")
        return Measured(figures)


@dataclass(frozen=True)
class Quantised:
    """A network with rounded weights.

    Attributes:
        before: The network, and its training.
        retrained: Whether it is trained once more while they are rounded.
        dataset: The name of the data set.
    """

    before: Clean
    retrained: bool = False
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """Accuracy with and without an attack, at every number of bits."""
        whole, budget = run.trained(self.before).module, self.before.budget
        figures: dict[str, Share | float] = {}
        for bits in BITS:
            run.report(f"{bits:g} bits")
            module = quantise(copy.deepcopy(whole), int(bits))
            if self.retrained:
                _train(module, *budget.training(run), budget, max(1, budget.clean // RETRAINED), run.seed)
            figures |= _judged(run, module, budget, f"{bits:g}", "bits")
        return Measured(figures)


@dataclass(frozen=True)
class Narrower:
    """Networks of fewer maps and hidden units.

    Attributes:
        before: The widest, and its training.
        distilled: Whether they learn from it.
        dataset: The name of the data set.
    """

    before: Clean
    distilled: bool
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """Accuracy with and without an attack, at every width."""
        figures: dict[str, Share | float] = {}
        for width in WIDTHS:
            network = self.before.network
            maps = tuple(int(width * count) for count in network.channels)
            alone = replace(self.before, network=replace(network, channels=maps, hidden=int(width * network.hidden)))
            training = Distilled(alone, self.before) if self.distilled else alone
            figures |= _judged(run, run.trained(training).module, self.before.budget, f"{width:g}", "width")
        return Measured(figures)


def _tempered(logits: Tensor, batch: Batch) -> Tensor:
    return functional.cross_entropy(logits / TEMPERATURE, batch.labels)


def _train(
    module: nn.Module,
    images: Tensor,
    answers: Tensor,
    budget: Budget,
    epochs: int,
    seed: int,
    loss: LossHook = cross_entropy,
) -> None:
    minimise(
        module,
        images,
        answers,
        epochs=epochs,
        batch_size=budget.batch,
        learning_rate=budget.rate,
        seed=seed,
        loss=loss,
        progress=False,
    )


def _judged(run: Run, module: nn.Module, budget: Budget, x: str, line: str) -> dict[str, Share | float]:
    """What a network answers rightly, and how much of that stands an attack."""
    (images, labels), radius = run.attacked(), RADII[run.dataset.name]
    count = JUDGED * run.images
    tests = torch.from_numpy(run.dataset.test_images[:count]), torch.from_numpy(run.dataset.test_labels[:count])
    _, standing = under_attack(module, images, labels, radius, budget.attack, run.seed)
    return {
        f"{line} {x}": right(module, *tests),
        f"{line}, attacked {x}": Share.of(standing),
    }


def _settings(quick: bool) -> tuple[Setting, ...]:
    if quick:
        return _of("mnist", "", QUICK, (8, 16), 64)
    return _of("mnist", "", FULL, (32, 64), 128) + _of("cifar10", ", CIFAR-10", FULL_CIFAR, (32, 64), 128)


def _of(dataset: str, end: str, budget: Budget, maps: tuple[int, ...], hidden: int) -> tuple[Setting, ...]:
    """The settings of one data set, whose names have an end of its own."""
    shallow, deep, wide = (
        Clean(Network(channels, hidden), budget)
        for channels in (maps, (*maps, maps[-1]), tuple(2 * count for count in maps))
    )
    subjects: dict[str, Subject] = {
        **{name: Pruned(shallow, name, dataset=dataset) for name in SALIENCIES},
        "magnitude, retrained": Pruned(shallow, "magnitude", True, dataset),
        "deeper, magnitude": Pruned(deep, "magnitude", dataset=dataset),
        "wider, magnitude": Pruned(wide, "magnitude", dataset=dataset),
        "rounded": Quantised(shallow, dataset=dataset),
        "rounded, retrained": Quantised(shallow, True, dataset),
        "narrower, alone": Narrower(shallow, False, dataset),
        "narrower, distilled": Narrower(shallow, True, dataset),
    }
    return tuple(Setting(f"{name}{end}", subject) for name, subject in subjects.items())


def _columns() -> tuple[Column, ...]:
    found: list[Column] = []
    for line, xs, axis in (
        ("removed", REMOVED, "share of the weights removed"),
        ("bits", BITS, "bits of a weight"),
        ("width", WIDTHS, "width"),
    ):
        for name, title in ((line, "accuracy"), (f"{line}, attacked", "accuracy under PGD")):
            found += curve(Drawing(f"{title}, by {axis}", "curve", axis, "accuracy"), name, xs)
    return tuple(found)


#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T44": Experiment(
            _settings,
            _columns(),
            (
                Order("magnitude, retrained", "magnitude", "removed 0.9"),
                Order("wider, magnitude", "deeper, magnitude", "removed 0.8"),
                Order("narrower, distilled", "narrower, alone", "width 0.25"),
            ),
            quick=Scale(4, 100),
            full=Scale(5, 500),
            smaller=SMALLER,
            hours=50,
        )
    }
)
