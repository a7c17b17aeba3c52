"""All networks, attacks and defences, with the documents that they come from."""

from __future__ import annotations

from dataclasses import dataclass

from bench.cases.options import ModelsOptions
from bench.harness.case import Reporter
from bench.report.models import ModelRow, show
from bench.tables.documents import ATTACKS, LISTED, NETWORKS, Origin
from plaintext_models.attacks.families import NEAREST, WITHIN
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.zoo.registry import RECIPES

__all__ = ["ModelsJob", "jobs", "measure", "show"]


@dataclass(frozen=True)
class ModelsJob:
    """One kind of thing to list.

    Attributes:
        kind: One of `documents.LISTED`.
    """

    kind: str

    @property
    def title(self) -> str:
        """The kind."""
        return self.kind


def jobs(options: ModelsOptions) -> tuple[ModelsJob, ...]:
    """A job for every kind."""
    return tuple(ModelsJob(kind) for kind in LISTED if not options.kind or kind in options.kind)


def measure(job: ModelsJob, _: Reporter) -> tuple[ModelRow, ...]:
    """What there is of the kind."""
    if job.kind == "network":
        return tuple(
            ModelRow(
                "network",
                name,
                (origin := NETWORKS.get(name, Origin((), ""))).identifiers,
                ", ".join(filter(None, (recipe.kind, recipe.dataset, recipe.network, origin.source))),
                origin.section,
            )
            for name, recipe in RECIPES.items()
        )
    if job.kind == "attack":
        return tuple(
            ModelRow("attack", name, ATTACKS[name].identifiers, ATTACKS[name].source, ATTACKS[name].section)
            for name in (*WITHIN, *NEAREST)
        )
    return tuple(
        ModelRow("defence", entry.name, (entry.identifier,), entry.source, f"{entry.identifier[0]} {entry.section}")
        for entry in DEFENCES.values()
    )
