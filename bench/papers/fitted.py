"""Networks of recipes, trained on a part of the data and in other ways than the recipe's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from bench.papers.experiment import Making, Trained
from plaintext_models.data.datasets import Dataset
from plaintext_models.data.subsets import first, only
from plaintext_models.defences.defence import Training
from plaintext_models.nets.dbm import Dbm
from plaintext_models.nets.logistic import Logistic
from plaintext_models.nets.rbf import likelihood
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.zoo.make import Report, make, untrained
from plaintext_models.zoo.recipe import Recipe

APART = 1000  # between the seeds of two members


@dataclass(frozen=True)
class Plain:
    """The recipe's own training."""

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe."""
        return make(recipe, dataset, report=report)


@dataclass(frozen=True)
class ByLikelihood:
    """Training of classes that have a probability each; see `plaintext_models.nets.rbf`."""

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so."""

        def loss(logits: Tensor, batch: Batch) -> Tensor:
            return likelihood(logits, batch.labels)

        return make(recipe, dataset, report=report, loss=lambda _: loss)


@dataclass(frozen=True)
class ByPrediction:
    """Training of a deep Boltzmann machine on what is missing; see `plaintext_models.nets.dbm`."""

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The machine of a recipe, trained so."""
        return make(recipe, dataset, report=report, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """The loss of a machine."""
        assert isinstance(module, Dbm)
        return lambda _, batch: module.multi_prediction(batch.images, batch.labels, batch.generator)


@dataclass(frozen=True)
class WorstCase:
    """Training of logistic regression on its loss in the worst case, in closed form.

    Attributes:
        radius: Of the Linf ball.
    """

    radius: float

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network of a recipe, trained so."""
        return make(recipe, dataset, report=report, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """The loss of a logistic regression."""
        assert isinstance(module, Logistic)
        return lambda _, batch: module.worst_case(batch.images, batch.labels, self.radius).mean()


@dataclass(frozen=True)
class Fitted:
    """A training that is told apart by how and on what it is done.

    Attributes:
        recipe: The network and its training, whose own seed does not matter.
        how: How it is trained.
        part: On how many training images; None for all.
        classes: Of which classes; all where it is empty.
        member: Which one of several that are alike but for their seeds.
    """

    recipe: Recipe
    how: Training = Plain()
    part: int | None = None
    classes: tuple[int, ...] = ()
    member: int = 0

    def build(self, making: Making) -> nn.Module:
        """The network before it is trained."""
        return untrained(self._seeded(making), self.data(making.dataset))

    def fit(self, making: Making) -> Trained:
        """The trained network."""
        return Trained(self.how.train(self._seeded(making), self.data(making.dataset), report=making.report))

    def data(self, dataset: Dataset) -> Dataset:
        """What of a data set is used."""
        chosen = only(dataset, self.classes) if self.classes else dataset
        return chosen if self.part is None else first(chosen, self.part)

    def _seeded(self, making: Making) -> Recipe:
        return replace(self.recipe, seed=making.seed + APART * self.member)
