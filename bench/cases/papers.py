"""What the case `paper` measures again, as data: networks, their defences, and what the documents say of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.evaluation.card import Effort
from plaintext_models.zoo.cache import ROOMS, code_digest, data_digest
from plaintext_models.zoo.make import make
from plaintext_models.zoo.recipe import Recipe, plain
from plaintext_models.zoo.registry import RECIPES

MEASURED_BY = ("paper.py", "papers.py")  # files of this room whose source decides what a run gives

Under = Literal["clean", "published", "adaptive"]  # images as they are, or as one of the two attacks makes them


@dataclass(frozen=True)
class Setting:
    """One line of a published result.

    Attributes:
        name: What is told apart by it.
        recipe: The network and its training.
        defence: The identifier of its defence in `plaintext_models.defences.registry`; None for none.
        published: The accuracy under the published attack, from 0 to 1; None where the document has no figure.
    """

    name: str
    recipe: Recipe
    defence: str | None = None
    published: float | None = None

    def defended(self, seed: int, dataset: Dataset) -> Defended:
        """The network, trained from scratch."""
        recipe = replace(self.recipe, seed=seed)
        if self.defence is None:
            return Defended(Target(make(recipe, dataset)))
        return DEFENCES[self.defence].defend(recipe, dataset, torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Order:
    """What a document says of two settings.

    Attributes:
        better: The setting that is said to be right more often.
        worse: The other one.
        under: On which images.
    """

    better: str
    worse: str
    under: Under


@dataclass(frozen=True)
class Experiment:
    """A published result.

    Attributes:
        settings: Its lines, given whether it is the quick version, which takes smaller data where the document names
            none.
        radius: Of the Linf ball of the published attack, one step, and of the card.
        orders: What the document says of pairs of settings.
    """

    settings: Callable[[bool], tuple[Setting, ...]]
    radius: float
    orders: tuple[Order, ...] = ()


def digest(setting: Setting, dataset: Dataset, radius: float, effort: Effort, images: int, seed: int) -> str:
    """The SHA-256 of everything that determines a run: recipe, defence, attack, data, and the code that trains."""
    parts: dict[str, Any] = {
        "recipe": replace(setting.recipe, seed=seed).canonical(),
        "defence": setting.defence,
        "attack": [radius, plain(effort), images],
        "data": data_digest(dataset),
        "code": [code_digest((*ROOMS, "defences", "evaluation")), *map(_sha256, MEASURED_BY)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _sha256(name: str) -> str:
    return hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest()


def _shallow(_: bool) -> tuple[Setting, ...]:
    recipe = replace(RECIPES["mnist-cnn"], network="mlp", options={"hidden": ()}, epochs=2)
    return (Setting("shallow softmax", recipe, published=0.001),)


def _defences(settings: Mapping[str, str | None]) -> Callable[[bool], tuple[Setting, ...]]:
    """Settings of one network, by name, each with a defence or none."""

    def of(quick: bool) -> tuple[Setting, ...]:
        recipe = RECIPES["digits-mlp" if quick else "mnist-cnn"]
        return tuple(Setting(name, recipe, defence) for name, defence in settings.items())

    return of


def _beside(name: str, defence: str, *orders: Order) -> Experiment:
    """A defence beside the same network without it."""
    return Experiment(_defences({BARE: None, name: defence}), RADIUS, orders)


BARE = "undefended"
RADIUS = 0.1  # ours: T names none for any defence

#: By the identifiers of `bench.tables.documents.PUBLISHED`. The defences' numbers are ours where a document is silent.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "A2": Experiment(_shallow, 0.25),
        "T22": _beside("autoencoder", "T22", Order(BARE, "autoencoder", "adaptive")),
        "T23": Experiment(
            _defences({BARE: None, "penalty": "T23", "adversarial": "T33", "both": "T23-adversarial"}),
            RADIUS,
            (Order("both", BARE, "adaptive"), Order("both", "penalty", "adaptive")),
        ),
        "T24": _beside("noise", "T24"),
        "T25": _beside("distilled", "T25", Order("distilled", BARE, "published")),
        "T26": Experiment(
            _defences({"without": "T26-none", "Gaussian": "T26", "mean": "T26-mean", "median": "T26-median"}),
            RADIUS,
            (Order("Gaussian", "without", "adaptive"),),
        ),
        "T27": _beside("generator", "T27", Order("generator", BARE, "adaptive")),
        "T28": _beside("squeezing", "T28", Order("squeezing", BARE, "published")),
        "T29": _beside("MagNet", "T29", Order("MagNet", BARE, "published")),
        "T30": Experiment(
            _defences({BARE: None, "JPEG": "T30", "low pass": "T30-low-pass"}),
            RADIUS,
            (Order("JPEG", BARE, "published"),),
        ),
        "T31": _beside("foveation", "T31", Order("foveation", BARE, "published")),
        "T32": _beside("resizing", "T32", Order("resizing", BARE, "published")),
        "T33": Experiment(
            _defences({BARE: None, "FGSM": "T33-fgsm", "PGD": "T33", "half PGD": "T33-mixed"}),
            RADIUS,
            (Order("PGD", BARE, "adaptive"), Order(BARE, "PGD", "clean")),
        ),
    }
)
