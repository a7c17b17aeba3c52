"""Constants are chosen on held-out training images alone, by heads that are those of `he.training.head`."""

import dataclasses
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import heads, selection
from bench.cases.heads import RECIPES
from bench.cases.options import SelectionOptions
from bench.cases.selection import GRIDS, Grid, _Sums, jobs, measure
from bench.harness.case import Silent
from he.training.features import RandomFeatures
from he.training.head import Descent, fit
from he.training.recipes import Recipe
from he.training.whitening import Moments, Whitening
from plaintext_models.data import datasets

RECIPE = Recipe(RandomFeatures(8, 8, 2, 3, 3), 100, 0.01, Descent(2, 2.5))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(1.5, 4), st.floats(2, 16))
def test_heads_from_sums_are_those_from_samples(seed, steps, bound, ratio):
    generator = np.random.default_rng(seed)
    x, labels = generator.normal(size=(200, 5)) + generator.normal(size=5), generator.integers(0, 3, 200)
    whitening, descent = Whitening.of(Moments.of(x[:60]), 0.05), Descent(steps, bound, ratio)
    white = _Sums.of(x, labels, 3).whitened(whitening)
    samples = whitening.apply(x)
    assert np.allclose(white.samples(x), samples, rtol=0, atol=1e-12)
    assert np.allclose(white.moments, samples.T @ samples / 200, rtol=0, atol=1e-10)
    assert np.allclose(white.head(descent), fit(samples, labels, 3, descent), rtol=0, atol=1e-9 * bound**steps)


def measured(monkeypatch, change=lambda data: data):
    """The rows of a small recipe with one other form of filters."""
    grid = Grid((dataclasses.replace(RECIPE.features, window=2),), (60, 100), folds=3, held_out=2, draws=1)
    monkeypatch.setattr(selection, "GRIDS", MappingProxyType({RECIPE: grid}))
    monkeypatch.setattr(heads, "RECIPES", MappingProxyType({"digits": (RECIPE,)}))
    monkeypatch.setattr(
        selection, "datasets", SimpleNamespace(load=lambda name, data: change(datasets.load(name, data)))
    )
    (job,) = jobs(SelectionOptions())
    return list(measure(job, Silent()))


def test_every_candidate_is_tried_and_the_recipe_is_one_of_them(monkeypatch):
    rows = measured(monkeypatch)
    constants = 2 * len(selection.RIDGES) * len(selection.BOUNDS) * len(selection.RATIOS)
    assert len(rows) == constants + 1
    assert len({(r.form, r.calibration, r.ridge, r.bound, r.ratio) for r in rows}) == len(rows)
    (recipe,) = (row for row in rows if row.is_recipe)
    assert (recipe.calibration, recipe.ridge, recipe.bound, recipe.ratio) == (100, 0.01, 2.5, 8.0)
    assert all(row.has_margin == (row.bound >= 1.1 * row.top_eigenvalue) for row in rows)
    assert recipe.n_asked == 2 * 1437 // 3
    assert 0.3 < recipe.accuracy < 1


def test_no_test_image_is_looked_at(monkeypatch):
    def with_one(data):
        return dataclasses.replace(data, test_images=data.test_images[:1], test_labels=data.test_labels[:1])

    assert measured(monkeypatch) == measured(monkeypatch, with_one)


@pytest.mark.parametrize("recipe", [recipe for several in RECIPES.values() for recipe in several])
def test_grids_hold_their_recipe(recipe):
    grid = GRIDS[recipe]
    assert recipe.calibration in grid.calibrations
    assert recipe.ridge in selection.RIDGES
    assert recipe.descent.bound in selection.BOUNDS
    assert recipe.descent.ratio in selection.RATIOS
    for other in grid.filters:
        assert other != recipe.features
        assert 0.9 < other.count / recipe.features.count < 1.1


def test_it_prints_what_was_taken(monkeypatch):
    measured(monkeypatch)
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["selection"])
    assert result.exit_code == 0, result.output
    assert "taken" in result.output
    assert "leave a tenth to the bound" in " ".join(result.output.split())
