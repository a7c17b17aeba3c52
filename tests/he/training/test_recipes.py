"""Recipes: draws of calibration samples, and constants that hold on samples which nobody chose them by."""

import numpy as np
import pytest

from he.training.features import RandomFeatures
from he.training.head import Descent, accuracy, fit
from he.training.recipes import DIGITS, MNIST, MNIST_LARGE, Recipe
from he.training.whitening import require_bound
from plaintext_models.data.datasets import load, validation_split

SMALL = Recipe(RandomFeatures(8, 8, 2, 3, 3), 40, 0.01, Descent(2, 2.5))


def features(count=60):
    return SMALL.features.of(np.random.default_rng(0).random((count, 1, 8, 8)))


def test_seeds_draw_calibration_samples():
    drawn = [SMALL.whitening(features(), seed).digest for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_other_samples_than_those_drawn_do_not_matter():
    """As many samples differ as are not drawn, and each of them alone changes nothing."""
    before, unused = SMALL.whitening(features()).digest, 0
    for place in range(60):
        changed = features()
        changed[place] += 1
        unused += SMALL.whitening(changed).digest == before
    assert unused == 60 - SMALL.calibration


def test_plans_have_a_column_of_ones():
    plan = DIGITS.plan(1437, 10)
    assert (plan.features, plan.samples, plan.classes, plan.descent) == (129, 1437, 10, DIGITS.descent)
    assert (MNIST.plan(60_000, 10).features, MNIST_LARGE.plan(60_000, 10).features) == (253, 577)


def test_every_recipe_fits_the_smallest_ring_of_two_steps():
    for recipe, samples in ((DIGITS, 1437), (MNIST, 60_000), (MNIST_LARGE, 60_000)):
        plan = recipe.plan(samples, 10)
        assert plan.parameters.security_bits == 128
        assert plan.degree == 8192


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_that_are_held_out_are_read_and_the_bound_holds(seed):
    parts = validation_split(load("digits"), 287)
    x, held_out = DIGITS.features.of(parts.train_images), DIGITS.features.of(parts.test_images)
    whitening = DIGITS.whitening(x, seed)
    white = whitening.apply(x)
    require_bound(white, DIGITS.descent.bound)
    head = fit(white, parts.train_labels, 10, DIGITS.descent)
    assert accuracy(whitening.apply(held_out), parts.test_labels, head) >= 0.96


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Recipe(SMALL.features, 1, 0.1, SMALL.descent), ValueError, "`calibration` must lie in"),
        (lambda: Recipe(SMALL.features, 9, 0.0, SMALL.descent), ValueError, "`ridge` must be finite and above 0"),
        (lambda: Recipe(None, 9, 0.1, SMALL.descent), TypeError, "`features` must be a RandomFeatures"),
        (lambda: Recipe(SMALL.features, 9, 0.1, 2), TypeError, "`descent` must be a Descent"),
        (lambda: SMALL.whitening(features(39)), ValueError, "at least 40 samples, got 39"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
