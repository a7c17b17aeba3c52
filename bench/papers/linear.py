"""A: the article that retells "Explaining and harnessing adversarial examples" (arXiv:1412.6572)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.papers.attacked import COLUMNS, PUBLISHED, Attacked
from bench.papers.experiment import Experiment, Printed, Setting
from plaintext_models.zoo.registry import RECIPES

RADIUS = 0.25  # the paper's


def _shallow(_: bool) -> tuple[Setting, ...]:
    recipe = replace(RECIPES["mnist-cnn"], network="mlp", options={"hidden": ()}, epochs=2)
    return (Setting("shallow softmax", Attacked(recipe, RADIUS), {PUBLISHED: Printed(0.001)}),)


#: By the identifiers of `bench.tables.linear.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({"A2": Experiment(_shallow, COLUMNS)})
