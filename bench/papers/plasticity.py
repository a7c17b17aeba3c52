"""T, chapter 5: does a deeper network keep more of its accuracy when it is trained against an attack?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Making, Measured, Order, Printed, Run, Scale, Setting
from bench.papers.phases import Budget, Clean, Hardened, Network, fooled, right
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import Share
from plaintext_models.evaluation.runner import evaluate

CLEAN_EPOCHS = 12  # of the first phase, in both versions
#: The network of Keras's example for MNIST, and as many epochs; the second phase and its attack are the document's.
FULL = Budget(58_000, 2000, CLEAN_EPOCHS, 20, 200, 200, 128, 1e-3)
QUICK = Budget(2000, 300, CLEAN_EPOCHS, 4, 5, 40, 64, 3e-3)
SMALLER = (
    f"a quarter of the filters, {QUICK.images:,} training images, {QUICK.adversarial} adversarial epochs, "
    f"{QUICK.steps} steps of the attack in training, {QUICK.attack} after"
)

WRITTEN, CUSTOMARY, SEARCHED = "8/255", "0.3", "searched"
RADII: Mapping[str, float | None] = MappingProxyType({WRITTEN: 8 / 255, CUSTOMARY: 0.3, SEARCHED: None})
EPOCHS = 32  # of both phases together in full

TRAIN, TEST, TRAIN_AFTER, TEST_AFTER = "train", "test", "train, after", "test, after"
FOOLED, FOOLED_AFTER, ADAPTIVE = "fooled", "fooled, after", "adaptive, after"
TABLE = (
    *map(Column, (TRAIN, TEST, TRAIN_AFTER, TEST_AFTER, FOOLED, FOOLED_AFTER, ADAPTIVE)),
    Column("radius", ""),
)
#: Table 5.1.
PRINTED = {"shallow": (0.9950, 0.9880, 0.8867, 0.9491), "deep": (0.9870, 0.9836, 0.9405, 0.9733)}


def networks(quick: bool) -> Mapping[str, Clean]:
    """The shallow and the deep network of the experiment, in their first phase."""
    shallow, hidden, budget = ((8, 16), 64, QUICK) if quick else ((32, 64), 128, FULL)
    deep = (*shallow, shallow[-1])
    return {name: Clean(Network(maps, hidden), budget) for name, maps in (("shallow", shallow), ("deep", deep))}


@dataclass(frozen=True)
class TwoPhases:
    """A network after both phases.

    Attributes:
        before: The first phase.
        reference: The network that a radius is searched on.
        radius: Of the attack's ball; None for the one that is searched.
        dataset: The name of the data set.
    """

    before: Clean
    reference: Clean
    radius: float | None
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """The line of Table 5.1, what the attack does before and after, and the card after."""
        first, second = run.trained(self.before), run.trained(Hardened(self.before, self.radius, self.reference))
        radius, budget = float(second.record["radius"]), self.before.budget
        tests = _tests(run)
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {"radius": radius}
        for trained, (train, test, success) in (
            (first, (TRAIN, TEST, FOOLED)),
            (second, (TRAIN_AFTER, TEST_AFTER, FOOLED_AFTER)),
        ):
            run.report(success)
            figures |= {
                train: _share(float(trained.record["training"][-1]), budget.images),
                test: right(trained.module, *tests),
                success: fooled(trained.module, images, labels, radius, budget.attack, run.seed),
            }
        target, ball = Target(second.module), Ball("linf", radius)
        figures[ADAPTIVE] = evaluate(target, images, labels, ball, seed=run.seed, effort=run.effort).verdict
        return Measured(figures)

    def unattacked(self, making: Making) -> Measured:
        """The accuracy after the first phase."""
        return Measured({TEST: right(making.trained(self.before).module, *_tests(making))})


@dataclass(frozen=True)
class Epochs:
    """Both phases of a network, epoch by epoch.

    Attributes:
        before: The first phase.
        reference: The network that a radius is searched on.
        dataset: The name of the data set.
    """

    before: Clean
    reference: Clean
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """The lines of Figure 5.2, at every radius."""
        first, figures = run.trained(self.before), dict[str, Share | float]()
        for name, radius in RADII.items():
            second = run.trained(Hardened(self.before, radius, self.reference))
            for part, count in (("training", self.before.budget.images), ("held-out", self.before.budget.held_out)):
                joined = (*first.record[part], *second.record[part])
                figures |= {f"{part}, {name} {i}": _share(value, count) for i, value in enumerate(joined, 1)}
        return Measured(figures)


def _tests(making: Making) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(making.dataset.test_images), torch.from_numpy(making.dataset.test_labels)


def _share(value: float, count: int) -> Share:
    return Share(round(value * count), count)


def _table(quick: bool) -> tuple[Setting, ...]:
    found = networks(quick)
    settings = []
    for radius in RADII:
        for name, before in found.items():
            said = dict(zip((TRAIN, TEST, TRAIN_AFTER, TEST_AFTER), map(Printed, PRINTED[name]), strict=True))
            if name == "shallow":
                said |= {FOOLED: Printed(0.56), FOOLED_AFTER: Printed(0.12)}
            settings.append(Setting(f"{name}, {radius}", TwoPhases(before, found["shallow"], RADII[radius]), said))
    return tuple(settings)


def _orders() -> tuple[Order, ...]:
    found: list[Order] = []
    for radius in RADII:
        shallow, deep = f"shallow, {radius}", f"deep, {radius}"
        found += [Order(deep, shallow, TRAIN_AFTER), Order(deep, shallow, TEST_AFTER), Order(shallow, deep, TEST)]
        found.append(Order(shallow, shallow, FOOLED, FOOLED_AFTER))
    return tuple(found)


def _epochs(quick: bool) -> tuple[Setting, ...]:
    found = networks(quick)
    return tuple(Setting(name, Epochs(before, found["shallow"])) for name, before in found.items())


def _panels() -> tuple[Column, ...]:
    found: list[Column] = []
    for radius in RADII:
        for part in ("training", "held-out"):
            drawing = Drawing(f"{part} accuracy, {radius}", "curve", "epoch", "accuracy", CLEAN_EPOCHS + 0.5)
            found += curve(drawing, f"{part}, {radius}", range(1, EPOCHS + 1))
    return tuple(found)


#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T46": Experiment(
            _table, TABLE, _orders(), quick=Scale(4, 100), full=Scale(5, 1000), smaller=SMALLER, hours=1500
        ),
        "T47": Experiment(_epochs, _panels(), quick=Scale(4, 100), full=Scale(5, 1000), smaller=SMALLER, hours=1500),
    }
)
