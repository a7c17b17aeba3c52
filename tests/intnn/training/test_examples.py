"""Batches: every example once an epoch, moved by whole pixels, the same bytes as in plain Python."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.training.examples import Changes, Examples
from intnn.training.generator import key


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**64 - 1))
def test_an_epoch_shows_every_example_at_most_once_and_whole_batches_only(n, size, seed):
    examples = Examples.of(np.zeros((n, 1, 1, 1), np.int64), np.zeros(n, np.int64), IntDomain(0, 1))
    epochs = [list(examples.batches(size, seed, epoch)) for epoch in range(2)]
    for batches in epochs:
        assert [len(b) for b in batches] == [size] * (n // size)
        seen = np.concatenate([np.empty(0, np.int64), *batches])
        assert len(set(seen.tolist())) == len(seen)
        assert set(seen.tolist()) <= set(range(n))


def test_moves_reach_as_far_as_asked_and_no_further():
    x = np.zeros((1, 9, 9, 1), np.int64)
    x[0, 4, 4] = 5
    examples = Examples.of(x, np.zeros(1, np.int64), IntDomain(-3, 5))
    out = np.empty((4000, 9, 9, 1), np.uint8)
    examples.write(np.zeros(4000, np.int64), Changes(moved_by=2), key(1, 2, 3), out)
    places = {tuple(np.argwhere(image[:, :, 0] == 128 + 5)[0] - 4) for image in out}
    # Each of 25 moves is missed by 4000 draws with a chance of (24/25)**4000 < 1e-70.
    assert places == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}
    assert set(np.unique(out)) == {128, 128 + 5}


def test_images_that_cannot_be_zero_are_filled_with_what_is_nearest():
    assert Examples.of(np.full((1, 1, 1, 1), 3), np.zeros(1, np.int64), IntDomain(2, 9)).fill == 2
    assert Examples.of(np.full((1, 1, 1, 1), -3), np.zeros(1, np.int64), IntDomain(-9, -2)).fill == 126


def test_half_of_the_images_are_mirrored():
    x = np.arange(3).reshape(1, 1, 3, 1)
    examples = Examples.of(x, np.zeros(1, np.int64), IntDomain(0, 255))
    out = np.empty((4000, 1, 3, 1), np.uint8)
    examples.write(np.zeros(4000, np.int64), Changes(mirrored=True), key(1, 2, 3), out)
    mirrored = out[:, 0, 0, 0] == 2
    assert np.array_equal(out[mirrored, 0, :, 0], np.tile([2, 1, 0], (mirrored.sum(), 1)))
    assert np.array_equal(out[~mirrored, 0, :, 0], np.tile([0, 1, 2], ((~mirrored).sum(), 1)))
    # Five standard deviations of 4000 tosses of a coin are 158.
    assert abs(mirrored.sum() - 2000) < 158


def test_without_changes_examples_are_as_they_are():
    x = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 1))
    examples = Examples.of(x, np.zeros(5, np.int64), IntDomain(0, 255))
    out = np.empty((3, 2, 2, 1), np.uint8)
    examples.write(np.array([4, 0, 4]), Changes(), key(0, 0), out)
    assert np.array_equal(out, x[[4, 0, 4]])
