"""What an experiment is: settings that are run with seeds, and what the documents say of their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.papers.columns import Column
from plaintext_models.data.datasets import Dataset
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.zoo.make import Report

#: How an array is drawn: rows of images [n, height, width] or [n, channels, height, width], either in [0, 1] or, with
#: the mean 0 in white, of any sign; or points [n, 3], their places in the plane and their classes.
Shown = Literal["images", "signed images", "points"]

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What one run gave.

    Attributes:
        figures: By the names of columns: a share of a count, or a number in the column's unit. A column may be missing
            where it does not apply.
        arrays: Beside the figures, what only a picture shows, by the names that `Experiment.pictures` declares.
    """

    figures: Mapping[str, Share | float]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """What one training gave.

    Attributes:
        module: The network, in evaluation mode.
        record: What was measured meanwhile, for example an accuracy for every epoch.
    """

    module: nn.Module
    record: Arrays = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Making:
    """What a training is given.

    Attributes:
        seed: Determines everything random; torch's own generator begins with it, too.
        dataset: The data set.
        trained: Gives what another training gives; each is made once, and kept for all that ask for the same one.
        report: Told what is being done.
    """

    seed: int
    dataset: Dataset
    trained: Callable[[Training], Trained]
    report: Report


class Training(Protocol):
    """How a network is trained: a frozen dataclass, whose fields determine that together with data, seed and code."""

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""

    def fit(self, making: Making) -> Trained:
        """The trained network; of the data set, the training part is used."""


@dataclass(frozen=True, eq=False)
class Run(Making):
    """What a subject is given to measure itself.

    Attributes:
        images: How many test images are attacked.
        effort: How hard the card's attacks try.
    """

    images: int
    effort: Effort

    def attacked(self) -> tuple[Tensor, Tensor]:
        """The first test images and their labels, [images, *shape] and [images]."""
        dataset = self.dataset
        return torch.from_numpy(dataset.test_images[: self.images]), torch.from_numpy(
            dataset.test_labels[: self.images]
        )


class Subject(Protocol):
    """What is measured: a frozen dataclass, whose fields determine a run together with data, seed, effort and code."""

    @property
    def dataset(self) -> str:
        """The name of the data set."""

    def measure(self, run: Run) -> Measured:
        """Measure it from scratch."""


@runtime_checkable
class Unattacked(Protocol):
    """A subject of which something is worth knowing before it is attacked."""

    def unattacked(self, making: Making) -> Measured:
        """What no attack is needed for, of all test images: some of the figures that `Subject.measure` gives."""


@dataclass(frozen=True)
class Printed:
    """A figure of a document.

    Attributes:
        value: In the unit of its column; of a share, from 0 to 1.
        deviation: What the document prints behind "±"; None where it prints nothing.
    """

    value: float
    deviation: float | None = None


@dataclass(frozen=True)
class Setting:
    """One line of an experiment.

    Attributes:
        name: What it is told apart by.
        subject: What is measured.
        published: What the document prints, by the names of columns.
    """

    name: str
    subject: Subject
    published: Mapping[str, Printed] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What a document says of two figures.

    Attributes:
        higher: The setting that is said to have the higher one.
        lower: The setting that is said to have the lower one.
        column: Of which column.
        lower_column: Of which column the lower one is; None for the same.
    """

    higher: str
    lower: str
    column: str
    lower_column: str | None = None


@dataclass(frozen=True)
class Scale:
    """How much is run where the caller does not say.

    Attributes:
        seeds: How many runs.
        images: How many test images are attacked; 0 where there is nothing to attack.
    """

    seeds: int
    images: int


@dataclass(frozen=True)
class Experiment:
    """A published result.

    Attributes:
        settings: Its lines, given whether it is the quick version.
        columns: What is measured.
        orders: What the document says of pairs of figures.
        pictures: How the arrays of a run are drawn, by their names.
        quick: How much the quick version runs.
        full: How much the full one runs.
        smaller: In what else the quick version is smaller, in words.
        hours: What the full version takes, in hours of one core, by rule of thumb: passes through networks, or as
            many times the quick version as images, seeds, effort and networks are larger; None where nobody has a rule.
    """

    settings: Callable[[bool], tuple[Setting, ...]]
    columns: tuple[Column, ...]
    orders: tuple[Order, ...] = ()
    pictures: Mapping[str, Shown] = field(default_factory=dict)
    quick: Scale = Scale(4, 300)
    full: Scale = Scale(10, 1000)
    smaller: str = ""
    hours: float | None = None
