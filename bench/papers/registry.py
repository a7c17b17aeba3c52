"""All experiments, by the identifiers of `bench.tables.documents.PUBLISHED`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.papers import linear, thesis
from bench.papers.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({**thesis.EXPERIMENTS, **linear.EXPERIMENTS})
