"""What the table trains by functional encryption, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from he.functional.instance import SchemeName
from intnn import Hidden, IntClassifier, IntDomain
from intnn.training.plan import Plan, plan
from intnn.training.schedule import Schedule
from intnn.training.step import Descent

Protocol = Literal["projection", "faithful"]


@dataclass(frozen=True)
class ProjectionRun:
    """Training on a few projections of every image.

    Attributes:
        levels: The largest grey level as an integer.
        public: The number of training images that everybody may see; they are not trained on.
        rank: The number of projections.
        rate: The learning rate of the same network on whole images.
        attacked: The number of images that the attacks are tried on; a linear programme takes up to a second for each.
    """

    levels: int
    public: int
    rank: int
    rate: float
    attacked: int

    def in_clear(self, classifier: IntClassifier) -> IntClassifier:
        """The same network and passes, for whole images."""
        return IntClassifier(
            classifier.layers,
            epochs=classifier.epochs,
            batch_size=classifier.batch_size,
            learning_rate=self.rate,
            input_domain=(0, self.levels),
            random_state=classifier.random_state,
        )


@dataclass(frozen=True)
class FaithfulRun:
    """Training with keys for every update.

    Attributes:
        levels: The largest grey level as an integer.
        features: The pixels of an image.
        units: The units of the hidden layer.
        batch_size: The images of a step.
        epochs: The passes over the images.
        rate: The rate of the first step; it falls linearly.
        watched: The number of first updates that the attacks are tried on.
        ddh_steps: The steps that are measured of the slowest scheme.
    """

    levels: int
    features: int
    units: int
    batch_size: int
    epochs: int
    rate: Fraction
    watched: int
    ddh_steps: int

    @property
    def inputs(self) -> IntDomain:
        """The integers that a pixel may be."""
        return IntDomain(0, self.levels)

    @property
    def shape(self) -> str:
        """The network in short."""
        return f"{self.features}-{self.units}-10"

    def plan(self) -> Plan:
        """The network."""
        return plan((Hidden(self.units),), (self.features,), self.inputs, 10)

    def schedule(self, seed: int) -> Schedule:
        """How it is trained."""
        return Schedule(self.epochs, self.batch_size, self.rate, Descent(momentum_shift=3), seed)


#: By data set. Rates were chosen on validation images that were held out of the training part.
PROJECTIONS: Mapping[str, ProjectionRun] = MappingProxyType(
    {
        "digits": ProjectionRun(levels=16, public=200, rank=32, rate=0.05, attacked=60),
        "mnist": ProjectionRun(levels=255, public=2000, rank=32, rate=0.2, attacked=12),
    }
)
FAITHFUL: Mapping[str, FaithfulRun] = MappingProxyType(
    {
        "digits": FaithfulRun(16, 64, 64, 32, 40, Fraction(1, 20), watched=8, ddh_steps=2),
        "mnist": FaithfulRun(15, 784, 128, 64, 3, Fraction(1, 5), watched=8, ddh_steps=1),
    }
)

#: The runs of the table, in the order of its lines.
RUNS: tuple[tuple[Protocol, SchemeName], ...] = (
    ("projection", "rlwe"),
    ("faithful", "rlwe"),
    ("faithful", "pads"),
    ("faithful", "ddh"),
)
