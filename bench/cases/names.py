"""The names that options choose among, each from the registry that holds them."""

from __future__ import annotations

from typing import get_args

from bench.tables.documents import DOCUMENTS, PUBLISHED
from intnn.approximation.agreement import Task
from plaintext_models.attacks.core.ball import NORMS
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.zoo import shipped
from plaintext_models.zoo.registry import RECIPES, of_kind


def shipped_networks() -> tuple[str, ...]:
    """The networks that come with the package."""
    return shipped.names()


def exact_networks() -> tuple[str, ...]:
    """Those of integers, which are evaluated exactly under encryption."""
    return tuple(name for name in shipped.names() if shipped.record(name).kind == "IntNetwork")


def tasks() -> tuple[str, ...]:
    """What a model's outputs may be."""
    return get_args(Task)


def shipped_datasets() -> tuple[str, ...]:
    """The data sets that have shipped networks."""
    return tuple(sorted({shipped.record(name).dataset for name in shipped.names()}))


def attacked_models() -> tuple[str, ...]:
    """The float models that attacks are tried on."""
    return of_kind("attacked")


def attacked_datasets() -> tuple[str, ...]:
    """The data sets that those models classify."""
    return tuple(dict.fromkeys(RECIPES[name].dataset for name in attacked_models()))


def attacked(dataset: str, hardened: bool) -> str:
    """The first of those models for a data set that was trained against attacks, or that was not."""
    names = of_kind("attacked", dataset)
    return next(name for name in names if (RECIPES[name].hardening is not None) == hardened)


def norms() -> tuple[str, ...]:
    """The lengths that a perturbation is measured by."""
    return NORMS


def published() -> tuple[str, ...]:
    """What is measured again, by the identifiers of the documents that published it, all of a document, or all."""
    return *PUBLISHED, *DOCUMENTS, "all"


def defences() -> tuple[str, ...]:
    """The defences, by the identifiers of the document that lists them."""
    return tuple(DEFENCES)
