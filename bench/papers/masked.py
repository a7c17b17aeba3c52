"""The networks of M and how they are trained: of the document's sizes, or of smaller ones in the quick version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from bench.papers.experiment import Making, Trained
from plaintext_models.attacks.core.target import Target
from plaintext_models.data.subsets import first
from plaintext_models.defences.binary_weights import late
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.masked import Masked, defended
from plaintext_models.determinism import deterministic
from plaintext_models.stochastic.heads import GateClassifier
from plaintext_models.stochastic.modes import set_share, shuffled
from plaintext_models.training.loop import train
from plaintext_models.zoo.make import untrained
from plaintext_models.zoo.recipe import Recipe

View = Literal["as trained", "deterministic", "pruned", "shuffled"]

SMALL = 5000  # training images of the quick version


@dataclass(frozen=True)
class Late:
    """When a training learns from attacks, and from which; the defaults are the document's.

    Attributes:
        steps: Of each attack.
        begin: The part of the training that has none, from 0 to 1.
        ramp: The part in which the radius grows, from 0 to 1.
    """

    steps: int = 40
    begin: float = 0.8
    ramp: float = 0.0


#: By whether it is the quick version, whose last fifth would have 80 steps; that one was chosen by `masked_selection`.
LATE: Mapping[bool, Late] = MappingProxyType({True: Late(7, 0.0, 0.5), False: Late()})
RADII = {"mnist": 0.3, "cifar10": 8 / 255}  # of those attacks; the first is that of the code that the document used


@dataclass(frozen=True)
class Network:
    """A network of M, and its training.

    Attributes:
        quick: Whether it is smaller: half as many maps, gates of an eighth of the units and with a step of 2, the first
            5,000 training images.
        options: What `masked_cnn` takes beside that.
        epochs: Passes over the training images.
        rate: The peak of the learning rate.
        norm: See `Masked`.
        penalty: See `Masked`.
        late: When it learns from attacks, and from which; None for never.
        data: The data set.
    """

    quick: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 25
    rate: float = 1e-3
    norm: Literal[1, 2] = 2
    penalty: float = 0.0
    late: Late | None = None
    data: str = "mnist"

    @property
    def masked(self) -> Masked:
        """The form of its training."""
        return Masked(_smaller(self.options) if self.quick else self.options, self.norm, self.penalty)

    def recipe(self, seed: int) -> Recipe:
        """Its recipe."""
        hardening = None if self.late is None else late(RADII[self.data], **vars(self.late))
        return Recipe(
            "A network of M.",
            self.data,
            "masked_cnn",
            epochs=self.epochs,
            learning_rate=self.rate,
            batch_size=50 if self.data == "mnist" else 128,
            hardening=hardening,
            seed=seed,
        )

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return untrained(self.masked.changed(self.recipe(making.seed)), making.dataset)

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        dataset = first(making.dataset, SMALL) if self.quick else making.dataset
        return Trained(self.masked.train(self.recipe(making.seed), dataset, report=making.report))


@dataclass(frozen=True)
class Head:
    """A trained gate as a classifier.

    Attributes:
        network: The network that it is a part of.
        gate: Which of its gates, from 0.
        rate: The peak of the learning rate.
        iterations: How many steps of 50 images.
    """

    network: Network
    gate: int
    rate: float
    iterations: int

    def build(self, making: Making) -> nn.Module:
        """The classifier before it is trained."""
        module = making.trained(self.network).module
        assert isinstance(module, nn.Sequential)
        with deterministic(making.seed):
            return GateClassifier(module, self.gate, making.dataset.classes).eval()

    def fit(self, making: Making) -> Trained:
        """The trained classifier."""
        module = self.build(making)
        images = self.iterations * 50
        dataset = first(making.dataset, min(images, SMALL if self.network.quick else images))
        epochs = max(1, images // len(dataset.train_images))
        train(module, dataset, epochs=epochs, batch_size=50, learning_rate=self.rate, seed=making.seed, progress=False)
        return Trained(module)


def seen(module: nn.Module, seed: int, view: View) -> Defended:
    """A trained network as attackers see it.

    Args:
        module: The network.
        seed: Of its draws.
        view: "deterministic" of a network that draws nothing; "pruned", with as many draws as activations; "shuffled",
            with masks of other images.
    """
    if view == "deterministic":
        return Defended(Target(module))
    if view == "pruned":
        set_share(module, 1.0)
    found = defended(module, torch.Generator().manual_seed(seed), surrogates=view == "as trained")
    return replace(found, target=shuffled(module)) if view == "shuffled" else found


def _smaller(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options with the sizes of the quick version, where they state none."""
    gated = options.get("masks", "").endswith("gates")
    return {"channels": (16, 32), **options, **({"gates": {**GATES, **options.get("gates", {})}} if gated else {})}


#: Of the quick version. The gain is the least with which masks are as sure as the document's histograms say, of those
#: that `masked_selection` tries.
GATES: Mapping[str, Any] = MappingProxyType({"stride": 2, "hidden": 64, "gain": 30.0})
