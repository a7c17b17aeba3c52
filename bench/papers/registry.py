"""All experiments, by the identifiers of `bench.tables.documents.PUBLISHED`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.papers import (
    capacity,
    compressed,
    course,
    delta_rule,
    linear,
    masking,
    plasticity,
    relations,
    risks,
    thesis,
    universal,
)
from bench.papers.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        **thesis.EXPERIMENTS,
        **relations.EXPERIMENTS,
        **risks.EXPERIMENTS,
        **universal.EXPERIMENTS,
        **compressed.EXPERIMENTS,
        **capacity.EXPERIMENTS,
        **plasticity.EXPERIMENTS,
        **delta_rule.EXPERIMENTS,
        **course.EXPERIMENTS,
        **linear.EXPERIMENTS,
        **masking.EXPERIMENTS,
    }
)
