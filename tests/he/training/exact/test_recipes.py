"""Images become integers within their limits, and the recipe for the digits is secure and learns them."""

from dataclasses import replace

import numpy as np
import pytest

from he.training.exact.recipes import DIGITS
from intnn.training.squares.step import checked_inputs, fit, logits
from plaintext_models.data.datasets import load


def pixels(images):
    return images.reshape(len(images), -1).astype(np.float64)


def test_the_digits_are_learnt():
    """On the training set, of which a part is held out."""
    data = load("digits")
    images, labels, held_out = pixels(data.train_images), data.train_labels, np.arange(len(data.train_labels)) % 5 == 0
    whitening = DIGITS.whitening(images[~held_out])
    plan = DIGITS.plan(int((~held_out).sum()), data.classes)
    assert plan.parameters.security_bits == 128
    x = DIGITS.inputs(whitening, images[~held_out])
    checked_inputs(plan.squares, x, labels[~held_out])
    assert len(np.unique(x)) == 15  # all of 4 bits but one
    state = fit(plan.squares, x, labels[~held_out], DIGITS.steps)
    found = logits(plan.squares, DIGITS.inputs(whitening, images[held_out]), state.weights).argmax(axis=1)
    assert (found == labels[held_out]).mean() > 0.94


def test_inputs_are_whitened_features_rounded():
    images = np.random.default_rng(0).uniform(size=(500, 64))
    whitening = DIGITS.whitening(images)
    x, white = DIGITS.inputs(whitening, images), whitening.apply(images)
    assert (x[:, -1] == 7).all()
    inside = np.abs(3 * white[:, :-1]) < 7
    assert np.abs(x[:, :-1] - 3 * white[:, :-1])[inside].max() <= 0.5
    assert set(np.abs(x[:, :-1][~inside]).tolist()) == {7}
    assert whitening.digest == DIGITS.whitening(images[:400]).digest  # made from the first ones


def test_what_is_out_of_range_is_named():
    for name in ("ridge", "scale"):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and above 0"):
            replace(DIGITS, **{name: 0.0})
    for name in ("calibration", "steps"):
        with pytest.raises(ValueError, match=f"`{name}` must lie in"):
            replace(DIGITS, **{name: 0})
    with pytest.raises(ValueError, match="`images` must be at least 400, got 399"):
        DIGITS.whitening(np.ones((399, 64)))
