"""Recipes of networks: images become samples, and constants are looked at on parts that are held out."""

from dataclasses import replace

import numpy as np
import pytest

from he.training.refreshed.network import NetworkDescent, ReachError, fit_network
from he.training.refreshed.recipes import DIGITS, DIGITS_CONVOLUTION, NetworkRecipe, cross_validated
from plaintext_models.data.datasets import load

SMALL = NetworkRecipe(16, 300, 0.03, NetworkDescent(16, 15, 2.0, 0.1, 0.8))


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_images_become_rows_of_pixels():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert DIGITS.pixels(images).tolist() == [list(map(float, range(12))), list(map(float, range(12, 24)))]


def test_a_recipe_makes_what_fits_together(digits):
    pixels = SMALL.pixels(digits.train_images)
    whitening, plan = SMALL.whitening(pixels), SMALL.plan(*pixels.shape, 10)
    assert whitening.apply(pixels).shape == (len(pixels), plan.features) == (1437, 17)
    assert whitening.digest == SMALL.whitening(pixels).digest != SMALL.whitening(pixels, 1).digest


def test_a_convolution_takes_pixels_in_their_places(digits):
    pixels = DIGITS_CONVOLUTION.pixels(digits.train_images)
    white = DIGITS_CONVOLUTION.whitening(pixels).apply(pixels)
    plan = DIGITS_CONVOLUTION.plan(*pixels.shape, 10)
    assert white.shape == (1437, plan.features) == (1437, 65)
    assert plan.indices.shape == (36, 10)
    steps = np.ptp(pixels, axis=0) / np.maximum(np.ptp(white[:, :-1], axis=0), 1e-9)
    assert np.allclose(steps[steps > 0], steps.max())  # one factor for all
    assert np.var(white[:, :-1], axis=0).mean() == pytest.approx(1, abs=0.05)


def test_recipes_say_what_they_are():
    assert DIGITS.describe(10) == "32-32-10"
    assert DIGITS_CONVOLUTION.describe(10) == "4 filters 3x3-10"


def test_parts_are_held_out(digits):
    """Written by hand for one part of two: what is looked at has made neither the whitening nor the network."""
    images, labels = digits.train_images[:800], digits.train_labels[:800]
    found, reach = cross_validated(SMALL, images, labels, 10, folds=2)
    assert found.shape == (15,)
    pixels, halves = SMALL.pixels(images), []
    for part in (0, 1):
        kept, held_out = np.arange(800) % 2 != part, np.arange(800) % 2 == part
        whitening = SMALL.whitening(pixels[kept])
        network = fit_network(whitening.apply(pixels[kept]), labels[kept], 10, SMALL.descent)
        halves.append(network.accuracy(whitening.apply(pixels[held_out]), labels[held_out]))
    assert found[-1] == pytest.approx(np.mean(halves))
    assert 0.8 < found[-1] < 1
    assert 1 < reach <= SMALL.descent.reach


def test_a_reach_that_is_too_small_is_told(digits):
    small = replace(SMALL, descent=replace(SMALL.descent, reach=1.5))
    with pytest.raises(ReachError):
        cross_validated(small, digits.train_images, digits.train_labels, 10)


@pytest.mark.parametrize(("recipe", "accuracy"), [(DIGITS, 0.979), (DIGITS_CONVOLUTION, 0.971)])
def test_what_is_said_of_the_digits_is_so(digits, recipe, accuracy):
    found, reach = cross_validated(recipe, digits.train_images, digits.train_labels, 10)
    assert found[-1] == pytest.approx(accuracy, abs=0.004)
    assert reach < 0.7 * recipe.descent.reach


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"keep": 0}, ValueError, "`keep` must lie in"),
        ({"calibration": 1}, ValueError, "`calibration` must lie in"),
        ({"ridge": 0.0}, ValueError, "`ridge` must be finite and above 0"),
        ({"descent": 3}, TypeError, "`descent` must be a NetworkDescent"),
    ],
)
def test_what_cannot_be_is_named(change, error, text):
    with pytest.raises(error, match=text):
        replace(SMALL, **change)
