"""T, chapter 5: width, depth and the capacity to learn.

The document leaves its measure of capacity open. Ours: the share of randomly labelled images that a network answers
with their labels after a budget of epochs. Nothing can be learnt of them but themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import nn

from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Making, Measured, Order, Run, Scale, Setting, Trained
from bench.papers.phases import Budget, Clean, Hardened, Network, right, under_attack
from plaintext_models.evaluation.judge import Share
from plaintext_models.training.compression import magnitude, prune, quantise
from plaintext_models.training.loop import minimise

FULL = Budget(58_000, 2000, 12, 20, 40, 200, 128, 1e-3)
QUICK = Budget(1000, 300, 10, 4, 5, 40, 64, 3e-3)
#: The data sets of the full version, and how their settings' names end.
SETS = (("mnist", "", FULL), ("cifar10", ", CIFAR-10", replace(FULL, images=48_000)))
SMALLER = (
    "4 or 16 maps for 16, 32 or 64, 1,000 training images, 4 adversarial epochs, 5 steps of the attack in training"
)
EPOCHS = 30  # of random labels
#: Linf; on MNIST that at which the document's attack succeeds as often as it says.
RADII = {"mnist": 0.13, "cifar10": 8 / 255}

DEPTHS = (1, 2, 3)
AFTER, ROBUST, RANDOM = "trained against PGD", "the same, attacked", "random labels fitted"
LINES = ("clean", AFTER, ROBUST, RANDOM)
CAPACITY = "random labels fitted"


@dataclass(frozen=True)
class Memory:
    """A training on random labels.

    Attributes:
        network: What is trained; without dropout, unless that is what is looked at.
        budget: Its images, batches and rate.
        decay: Of the weights, decoupled from the gradient.
        removed: Which share of the initial weights, the smallest, is removed before.
        bits: Of the rounded weights; None for floats.
    """

    network: Network
    budget: Budget
    decay: float = 0.0
    removed: float = 0.0
    bits: int | None = None

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        module = self.network.build(making)
        if self.removed:
            images, labels = self.budget.validation(making)
            prune(module, magnitude(module, images, labels, torch.Generator()), self.removed)
        return module if self.bits is None else quantise(module, self.bits)

    def fit(self, making: Making) -> Trained:
        """The network after its training."""
        module = self.build(making)
        images, labels = self.random(making)
        minimise(
            module,
            images,
            labels,
            epochs=EPOCHS,
            batch_size=self.budget.batch,
            learning_rate=self.budget.rate,
            seed=making.seed,
            weight_decay=self.decay,
            progress=False,
        )
        return Trained(module)

    def random(self, making: Making) -> tuple[torch.Tensor, torch.Tensor]:
        """The images, and labels that have nothing to do with them."""
        images, _ = self.budget.training(making)
        generator = torch.Generator().manual_seed(making.seed)
        return images, torch.randint(making.dataset.classes, (len(images),), generator=generator)

    def fitted(self, run: Run) -> Share:
        """How many of the random labels it answers after its training."""
        return right(run.trained(self).module, *self.random(run))


@dataclass(frozen=True)
class Depths:
    """Networks of one width and several depths.

    Attributes:
        width: Maps of every convolution.
        hidden: The width of the hidden layer.
        budget: How much is trained.
        dataset: The name of the data set.
    """

    width: int
    hidden: int
    budget: Budget
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """What each of them learns from clean images, adversarial images and random labels."""
        (images, labels), radius = run.attacked(), RADII[run.dataset.name]
        tests = torch.from_numpy(run.dataset.test_images), torch.from_numpy(run.dataset.test_labels)
        figures: dict[str, Share | float] = {}
        for depth in DEPTHS:
            network = Network((self.width,) * depth, self.hidden)
            before = Clean(network, self.budget)
            after = run.trained(Hardened(before, radius, before)).module
            _, standing = under_attack(after, images, labels, radius, self.budget.attack, run.seed)
            figures |= {
                f"clean {depth}": right(run.trained(before).module, *tests),
                f"{AFTER} {depth}": right(after, *tests),
                f"{ROBUST} {depth}": Share.of(standing),
                f"{RANDOM} {depth}": Memory(replace(network, dropout=(0.0, 0.0)), self.budget).fitted(run),
            }
        return Measured(figures)


@dataclass(frozen=True)
class Capacity:
    """The capacity of one network, trained in one way.

    Attributes:
        memory: The training on random labels.
        dataset: The name of the data set.
    """

    memory: Memory
    dataset: str = "mnist"

    def measure(self, run: Run) -> Measured:
        """How many random labels it fits."""
        return Measured({CAPACITY: self.memory.fitted(run)})


def _depths(quick: bool) -> tuple[Setting, ...]:
    if quick:
        return tuple(Setting(f"{width} maps", Depths(width, 64, QUICK)) for width in (4, 16))
    return tuple(
        Setting(f"{width} maps{end}", Depths(width, 128, budget, dataset))
        for dataset, end, budget in SETS
        for width in (16, 32, 64)
    )


def _lowered(quick: bool) -> tuple[Setting, ...]:
    if quick:
        return _of("mnist", "", Memory(Network((8, 16), 64, (0.0, 0.0)), QUICK))
    network = Network((32, 64), 128, (0.0, 0.0))
    return tuple(setting for dataset, end, budget in SETS for setting in _of(dataset, end, Memory(network, budget)))


def _of(dataset: str, end: str, plain: Memory) -> tuple[Setting, ...]:
    """What is said to lower the capacity of a network, on one data set; names of settings have its end."""
    memories = {
        "plain": plain,
        "dropout": replace(plain, network=replace(plain.network, dropout=(0.25, 0.5))),
        "decay": replace(plain, decay=1.0),
        "half pruned": replace(plain, removed=0.5),
        "pruned to a tenth": replace(plain, removed=0.9),
        "3 bits": replace(plain, bits=3),
        "2 bits": replace(plain, bits=2),
    }
    return tuple(Setting(f"{name}{end}", Capacity(memory, dataset)) for name, memory in memories.items())


_DEPTHS = tuple(
    column
    for line in LINES
    for column in curve(Drawing(f"{line}, by depth", "curve", "convolutions", "accuracy"), line, DEPTHS)
)
#: A deeper network is said to learn more, from adversarial images and of random labels; 16 maps are in both versions.
_DEEPER = tuple(
    Order("16 maps", "16 maps", f"{line} {DEPTHS[-1]}", f"{line} {DEPTHS[0]}") for line in (AFTER, ROBUST, RANDOM)
)
_LOWERED = tuple(
    Order("plain", lower, CAPACITY) for lower in ("dropout", "decay", "half pruned", "pruned to a tenth", "3 bits")
)

#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T45": Experiment(
            _depths, _DEPTHS, _DEEPER, quick=Scale(4, 300), full=Scale(5, 1000), smaller=SMALLER, hours=700
        ),
        "T48": Experiment(
            _lowered,
            (Column(CAPACITY),),
            _LOWERED,
            quick=Scale(8, 100),
            full=Scale(10, 1000),
            smaller=SMALLER,
            hours=100,
        ),
    }
)
