"""What the case `paper` measures again, as data: networks, how they are trained, and how the document attacked them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.adversarial import pgd
from plaintext_models.defences.defence import Defended, Training
from plaintext_models.defences.distillation import Distillation
from plaintext_models.defences.gradient_penalty import GradientPenalty
from plaintext_models.evaluation.card import Effort
from plaintext_models.zoo.cache import ROOMS, code_digest, data_digest
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe, plain
from plaintext_models.zoo.registry import RECIPES

MEASURED_BY = ("paper.py", "papers.py")  # files of this room whose source decides what a run gives


@dataclass(frozen=True)
class Setting:
    """One line of a published result.

    Attributes:
        name: What is told apart by it.
        recipe: The network and its training.
        training: The defence, with its numbers; None for none.
        published: The accuracy under the published attack, from 0 to 1; None where the document has no figure.
    """

    name: str
    recipe: Recipe
    training: Training | None = None
    published: float | None = None

    def defended(self, seed: int, dataset: Dataset) -> Defended:
        """The network, trained from scratch; its `bare` form is the one that the document attacked."""
        recipe = replace(self.recipe, seed=seed)
        if self.training is None:
            return Defended(Target(make(recipe, dataset)))
        published = Target(self.training.train(recipe, dataset))
        if isinstance(self.training, Distillation):
            return Defended(self.training.undone(published), bare=published)
        return Defended(published)


@dataclass(frozen=True)
class Experiment:
    """A published result.

    Attributes:
        settings: Its lines, given whether it is the quick version, which takes smaller data where the document names
            none.
        radius: Of the Linf ball of the published attack, one step, and of the card.
        orders: Pairs of settings of which the document says that the first stands the published attack better.
    """

    settings: Callable[[bool], tuple[Setting, ...]]
    radius: float
    orders: tuple[tuple[str, str], ...] = ()


def digest(setting: Setting, dataset: Dataset, radius: float, effort: Effort, images: int, seed: int) -> str:
    """The SHA-256 of everything that determines a run: recipe, defence, attack, data, and the code that trains."""
    parts: dict[str, Any] = {
        "recipe": replace(setting.recipe, seed=seed).canonical(),
        "training": plain(setting.training),
        "attack": [radius, plain(effort), images],
        "data": data_digest(dataset),
        "code": [code_digest((*ROOMS, "defences", "evaluation")), *map(_sha256, MEASURED_BY)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _sha256(name: str) -> str:
    return hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest()


def _undefended(quick: bool) -> Recipe:
    return RECIPES["digits-mlp" if quick else "mnist-cnn"]


def _shallow(_: bool) -> tuple[Setting, ...]:
    recipe = replace(RECIPES["mnist-cnn"], network="mlp", options={"hidden": ()}, epochs=2)
    return (Setting("shallow softmax", recipe, published=0.001),)


def _gradients(quick: bool) -> tuple[Setting, ...]:
    recipe = _undefended(quick)
    hardened = replace(recipe, epochs=3 * recipe.epochs, hardening=pgd(0.1).hardening)
    return (
        Setting("undefended", recipe),
        Setting("gradient penalty", recipe, GradientPenalty()),
        Setting("adversarial training", hardened),
        Setting("both", hardened, GradientPenalty()),
    )


def _distilled(quick: bool) -> tuple[Setting, ...]:
    recipe = _undefended(quick)
    return Setting("undefended", recipe), Setting("distilled", recipe, Distillation())


#: By the identifiers of `bench.tables.documents.PUBLISHED`. Radii and defences' numbers are ours where a document is
#: silent: T gives none for T23 and T25.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "A2": Experiment(_shallow, 0.25),
        "T23": Experiment(_gradients, 0.1, (("both", "undefended"), ("both", "gradient penalty"))),
        "T25": Experiment(_distilled, 0.1, (("distilled", "undefended"),)),
    }
)
